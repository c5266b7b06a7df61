//! One run of a program, from its files to its exit code.

use tokio::process::ChildStdout;
use tokio_util::sync::CancellationToken;

use super::batch::Batch;
use super::child::Child;
use super::folder::Folder;
use super::lines::{Line, Lines};
use super::{Memory, Process};
use crate::model::{Span, Timestamp};
use crate::pull::Doing;
use crate::source::process::{self, Count, Failed, Level, Message, Name, Run, Selected, Status};
use crate::source::{Arrival, Limits};

/// What it says that it has is asked for again after so long.
const CATALOG: Span = Span::from_hours(24);
/// The largest catalogue.
const CATALOG_BYTES: usize = 64 << 20;
/// When its first process has ended, others of it may still write for so long.
const LAST: Span = Span::from_secs(5);

/// How a run ended.
pub enum Ended {
    /// Everything was read.
    Whole,
    /// Not everything.
    Failed(Failed),
    /// For the daemon's end.
    Stopped,
}

/// A run under way.
struct Under<'m> {
    of: &'m Process,
    memory: &'m mut Memory,
    selected: &'m Selected,
    run: Run,
    batch: Batch,
    /// When it last said something, or will have to.
    heard: Timestamp,
    is_warned: bool,
}

/// What ends a run before its output does.
enum Break {
    Stop,
    Failed(Failed),
}

impl Process {
    /// Runs it once.
    pub(super) async fn once(&self, memory: &mut Memory, stop: &CancellationToken) -> Ended {
        self.said.begin();
        memory.seen.begin();
        let began = self.clock.now();
        for state in self.states.values() {
            state.send_modify(|state| state.doing = Doing::Reading);
        }
        match self.try_once(memory, began, stop).await {
            Ok(()) => Ended::Whole,
            Err(Break::Stop) => Ended::Stopped,
            Err(Break::Failed(mut failed)) => {
                let last = self.said.failed();
                // What a program says last says more than its exit code.
                if let Some(last) = last.filter(|_| failed.words.contains("exit code")) {
                    failed.words = format!("{}: {}", failed.words, last.chars().take(300).collect::<String>());
                }
                Ended::Failed(failed)
            }
        }
    }

    async fn try_once(&self, memory: &mut Memory, began: Timestamp, stop: &CancellationToken) -> Result<(), Break> {
        let unwritten = |e: std::io::Error| Break::Failed(Failed::passing(format!("its files cannot be written: {e}")));
        let folder = Folder::open(&self.folder).map_err(unwritten)?;
        let config = folder.write("config.json", memory.settings.expose()).map_err(unwritten)?;
        let protocol = self.program.protocol;
        let catalog = match (&self.program.catalog, &memory.catalog) {
            (Some(catalog), _) => catalog.clone(),
            (None, Some((at, catalog))) if began.since(*at) < CATALOG => catalog.clone(),
            _ => {
                let catalog = self.discover(&folder, &config, stop).await?;
                memory.catalog = Some((began, catalog.clone()));
                catalog
            }
        };
        let selected = protocol.select(&catalog, &self.program.mapping);
        let known = selected.known.join(", ");
        if selected.streams.is_empty() {
            let words = format!("it has none of the streams that are mapped; it has: {known}");
            return Err(Break::Failed(Failed::person(words)));
        }
        for missing in &selected.missing {
            tracing::error!(source = %self.name, stream = %missing, known, "a program does not have a stream that is mapped");
        }
        for (_, schema, stream) in &selected.streams {
            self.look_at(stream, process::fields(schema), memory).await;
        }
        let catalog = folder.write("catalog.json", &selected.catalog.to_string()).map_err(unwritten)?;
        let state = memory.progress.file(protocol).map(|text| folder.write("state.json", &text));
        let state = state.transpose().map_err(unwritten)?;
        let words = protocol.pull(&config, &catalog, state.as_deref());
        let (child, lines) =
            Child::begin(&self.program, words, &folder, &self.said, &self.clock).map_err(Break::Failed)?;
        let names = selected.streams.iter().map(|(name, ..)| name.clone()).collect();
        let mut under = Under {
            of: self,
            memory,
            selected: &selected,
            run: Run::new(protocol, names),
            batch: Batch::default(),
            heard: began,
            is_warned: false,
        };
        under.go(child, lines, began, stop).await?;
        if let Some(missing) = selected.missing.first() {
            return Err(Break::Failed(Failed::person(format!("it has no stream `{missing}`; it has: {known}"))));
        }
        Ok(())
    }

    /// Asks for what it has.
    async fn discover(
        &self,
        folder: &Folder,
        config: &str,
        stop: &CancellationToken,
    ) -> Result<serde_json::Value, Break> {
        let protocol = self.program.protocol;
        let words = protocol.discover(config);
        let (child, mut lines) =
            Child::begin(&self.program, words, folder, &self.said, &self.clock).map_err(Break::Failed)?;
        let mut run = Run::new(protocol, Vec::new());
        let mut output = String::new();
        let until = self.clock.now() + self.program.silence;
        loop {
            let line = tokio::select! {
                () = stop.cancelled() => None,
                line = lines.next() => Some(line),
                () = self.clock.until(until) => {
                    child.stop().await;
                    return Err(Break::Failed(Failed::passing("it did not say what streams it has")));
                }
            };
            match line {
                Some(Line::Text(line)) if output.len() + line.len() < CATALOG_BYTES => {
                    match protocol.read(&line) {
                        Message::Log(level, words) => self.said.line(level, &words),
                        message => run.hear(&message),
                    }
                    output.push_str(&line);
                    output.push('\n');
                }
                Some(Line::End) => break,
                Some(_) => {
                    child.stop().await;
                    return Err(Break::Failed(Failed::person("its catalogue is larger than can be read")));
                }
                None => {
                    child.stop().await;
                    return Err(Break::Stop);
                }
            }
        }
        run.end(child.end().await).map_err(Break::Failed)?;
        protocol.catalog(&output).ok_or_else(|| {
            Break::Failed(Failed::program("what it said when it was asked for its streams is no catalogue"))
        })
    }
}

impl Under<'_> {
    /// Reads what it says to the end.
    async fn go(
        &mut self,
        mut child: Child,
        mut lines: Lines<ChildStdout>,
        began: Timestamp,
        stop: &CancellationToken,
    ) -> Result<(), Break> {
        let broken = self.read(&mut child, &mut lines, stop).await;
        // What was read is kept, with the states before whatever broke it off.
        let is_kept = self.keep(stop).await;
        let code = match &broken {
            Ok(()) => child.end().await,
            Err(_) => child.stop().await,
        };
        broken?;
        if !is_kept {
            return Err(Break::Stop);
        }
        let complete = self.run.complete(code);
        let is_left = |mapped: &str| self.selected.streams.iter().any(|(n, _, m)| m == mapped && !complete.contains(n));
        let whole: Vec<String> =
            self.of.states.keys().filter(|mapped| self.has(mapped) && !is_left(mapped)).cloned().collect();
        for stream in &whole {
            self.memory.progress.is_whole(stream, began);
            self.batch.reached(began);
        }
        if !self.keep(stop).await {
            return Err(Break::Stop);
        }
        for stream in &whole {
            if let Some(state) = self.of.states.get(stream) {
                state.send_modify(|state| {
                    state.free(Doing::Resting);
                    (state.read, state.last_success) = (began, Some(self.of.clock.now()));
                });
            }
        }
        self.run.end(code).map_err(Break::Failed)?;
        self.of.keep_seen(self.memory).await;
        Ok(())
    }

    fn has(&self, mapped: &str) -> bool {
        self.selected.streams.iter().any(|(_, _, stream)| stream == mapped)
    }

    async fn read(
        &mut self,
        child: &mut Child,
        lines: &mut Lines<ChildStdout>,
        stop: &CancellationToken,
    ) -> Result<(), Break> {
        let clock = self.of.clock.clone();
        let mut last = None;
        loop {
            // While what came is being kept, nothing is read, and the program waits.
            if self.batch.due().is_some_and(|due| due <= clock.now()) && !self.keep(stop).await {
                return Err(Break::Stop);
            }
            match lines.ready() {
                Some(Line::End) => return Ok(()),
                Some(line) => {
                    self.hear(line).await.map_err(Break::Failed)?;
                    continue;
                }
                None => {}
            }
            let until = self.quiet()?;
            let until = until.min(self.batch.due().unwrap_or(until)).min(last.unwrap_or(until));
            tokio::select! {
                biased;
                () = stop.cancelled() => return Err(Break::Stop),
                () = lines.fill() => {}
                () = child.ended(), if last.is_none() => last = Some(clock.now() + LAST),
                () = clock.until(until) => if last.is_some_and(|last| last <= clock.now()) {
                    // Something that it began holds its output open.
                    return Ok(());
                },
            }
        }
    }

    /// Until when it may say nothing.
    fn quiet(&mut self) -> Result<Timestamp, Break> {
        let silence = self.of.program.silence;
        let now = self.of.clock.now();
        if now >= self.heard + silence {
            return Err(Break::Failed(Failed::program(format!("it said nothing for {silence}, and was ended"))));
        }
        let warned = self.heard + Span::from_millis(silence.as_millis() / 4);
        if now < warned {
            return Ok(warned);
        }
        if !std::mem::replace(&mut self.is_warned, true) {
            tracing::warn!(source = %self.of.name, silence_ms = now.since(self.heard).as_millis(), "a program says nothing");
        }
        Ok(self.heard + silence)
    }

    async fn hear(&mut self, line: Line) -> Result<(), Failed> {
        let now = self.of.clock.now();
        (self.heard, self.is_warned) = (self.heard.max(now), false);
        let (message, text) = match line {
            Line::Text(text) => (self.of.program.protocol.read(&text), text),
            Line::TooLong(text) => (process::too_long(&text), text),
            Line::End => return Ok(()),
        };
        self.run.hear(&message);
        match message {
            Message::Record(record) => {
                let limits = Limits { message: usize::MAX, messages: usize::MAX };
                let arrival = Arrival { source: &self.of.name, at: now, names: &self.of.names, limits: &limits };
                let (mapping, progress) = (&self.of.program.mapping, &self.memory.progress);
                self.batch.add(&record, mapping, progress, &mut self.memory.seen, &arrival);
            }
            Message::State(state) => {
                match self.run.count(&state) {
                    Count::Right => {}
                    Count::Other => {
                        let words = "a state speaks of another number of records than came, though every line was read";
                        tracing::debug!(source = %self.of.name, "{words}");
                    }
                    Count::Lost => return Err(Failed::program("records are missing before a state")),
                }
                if self.memory.progress.take(&state) {
                    self.batch.reached(now);
                }
            }
            Message::Schema { stream, schema } => self.schema(&stream, &schema).await,
            Message::Log(level, words) => self.of.said.line(level, &words),
            Message::Status(_, Status::Limited(until)) => self.heard = self.heard.max(until.unwrap_or(now)),
            Message::Settings(settings) => self.of.keep_settings(settings, self.memory).await,
            Message::Failed(failed) => self.of.said.line(Level::Warn, &failed.words),
            Message::Noise => {
                self.count("noise");
                self.of.said.line(Level::Info, &text);
            }
            Message::Broken => {
                self.count("broken");
                self.batch.set_aside(&self.of.name, "a record that cannot be read", &text, now);
                return Err(Failed::program(
                    "it wrote a record that cannot be read; `espalier store set-aside` has it",
                ));
            }
            Message::Refused(words) => return Err(Failed::person(words)),
            Message::Status(..) | Message::Catalog(_) | Message::Checked(_) | Message::Other(_) => {}
        }
        Ok(())
    }

    async fn schema(&mut self, stream: &Name, schema: &serde_json::Value) {
        if let Some((mapped, _)) = self.of.program.mapping.of(stream.namespace.as_deref(), &stream.name) {
            self.of.look_at(mapped, process::fields(schema), self.memory).await;
        }
    }

    fn count(&self, result: &'static str) {
        metrics::counter!("espalier_process_lines_total", "source" => self.of.name.to_string(), "result" => result)
            .increment(1);
    }

    /// Keeps what came. False when it was given up for `stop`.
    async fn keep(&mut self, stop: &CancellationToken) -> bool {
        if self.batch.due().is_none() {
            return true;
        }
        let of = self.of;
        let (kept, counts) = self.batch.take(&of.cursor("state"), &self.memory.progress);
        let mut is_told = false;
        let told = |refused: String| {
            if !std::mem::replace(&mut is_told, true) {
                tracing::warn!(source = %of.name, reason = %refused, "a program waits for the store");
            }
            for state in of.states.values() {
                state.send_modify(|state| {
                    (state.doing, state.held) = (Doing::Held, Some(format!("waits for the store: {refused}")));
                });
            }
        };
        if !kept.put((&of.store, &self.memory.duty), &of.clock, stop, told).await {
            return false;
        }
        // However long that took, the program could not speak.
        let now = of.clock.now();
        self.heard = self.heard.max(now);
        for (stream, count) in counts {
            let Some(state) = of.states.get(&stream) else { continue };
            state.send_modify(|state| {
                state.free(Doing::Reading);
                state.pages += 1;
                state.records += count.records;
                state.events += count.events;
                state.items += count.items;
                state.aside(count.set_aside, now);
                state.last_success = Some(now);
            });
            let counted = |what: &'static str, n: u64| {
                let (source, stream) = (of.name.to_string(), stream.clone());
                metrics::counter!("espalier_pull_records_total", "source" => source, "stream" => stream, "result" => what)
                    .increment(n);
            };
            counted("read", count.records);
            counted("events", count.events);
            counted("products", count.items);
            counted("set_aside", count.set_aside);
        }
        true
    }
}
