//! A program at work: in a process group of its own, with nothing of our environment but what is handed on.

use std::process::Stdio;
use std::sync::Arc;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{ChildStdout, Command};
use tokio::task::JoinHandle;

use super::folder::Folder;
use super::lines::{Line, Lines};
use super::said::Said;
use crate::clock::SharedClock;
use crate::model::Span;
use crate::source::process::{Failed, Program};

/// The longest line of its output.
const LONGEST: usize = 16 << 20;
/// The longest line that it says for people.
const LONGEST_SAID: usize = 64 << 10;
/// So long it may take to end, and once more when it is told to.
const PATIENCE: Span = Span::from_secs(10);
/// What it said for people last comes within this.
const LAST_WORDS: Span = Span::from_secs(1);

/// A program at work. Dropped, it is killed with all that it began.
pub struct Child {
    child: tokio::process::Child,
    /// Its group, until it is known to have ended.
    group: Option<Pid>,
    said: JoinHandle<()>,
    clock: SharedClock,
}

impl Child {
    /// Begins `program` with these words of ours.
    ///
    /// # Errors
    /// Why it could not be begun.
    pub fn begin(
        program: &Program,
        words: Vec<String>,
        folder: &Folder,
        said: &Arc<Said>,
        clock: &SharedClock,
    ) -> Result<(Self, Lines<ChildStdout>), Failed> {
        let path = folder.path().display().to_string();
        let mut argv = program.command.iter().map(|word| word.replace("{folder}", &path));
        let first = argv.next().unwrap_or_default();
        let mut command = Command::new(&first);
        command.args(argv).args(words).args(&program.arguments).env_clear();
        // Its own folder is its home too: what it leaves there goes with it.
        command.env("HOME", folder.path()).env("TMPDIR", folder.path()).env("LANG", "C.UTF-8");
        command.env("PYTHONUNBUFFERED", "1");
        command.envs(program.environment.iter().map(|(name, value)| (name, value.expose())));
        command.current_dir(folder.path()).process_group(0).kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound | std::io::ErrorKind::PermissionDenied => {
                Failed::person(format!("`{first}` cannot be run: {error}"))
            }
            _ => Failed::passing(format!("`{first}` cannot be run: {error}")),
        })?;
        let group = child.id().and_then(|id| Pid::from_raw(id.try_into().ok()?));
        if let Some(group) = group {
            folder.runs(group);
        }
        let (stdout, stderr) =
            child.stdout.take().zip(child.stderr.take()).ok_or_else(|| Failed::passing("no pipes"))?;
        let hears = said.clone();
        // Read whatever happens: a pipe that is full would stop it.
        let said = tokio::spawn(async move {
            let mut lines = Lines::new(stderr, LONGEST_SAID);
            loop {
                match lines.next().await {
                    Line::Text(text) | Line::TooLong(text) => hears.error_line(&text),
                    Line::End => return,
                }
            }
        });
        Ok((Self { child, group, said, clock: clock.clone() }, Lines::new(stdout, LONGEST)))
    }

    /// Waits for its end. May be given up at any time.
    pub async fn ended(&mut self) {
        // An error says that there is no such child: it has ended.
        let _ = self.child.wait().await;
    }

    /// Its exit code, when it has closed its output; none for a signal. What does not end by itself is told to.
    pub async fn end(mut self) -> Option<i32> {
        if !self.within(PATIENCE).await {
            return self.stop().await;
        }
        // What it began ends with it.
        self.signal(Signal::KILL);
        self.close().await
    }

    /// Ends it and all that it began, gently at first.
    pub async fn stop(mut self) -> Option<i32> {
        self.signal(Signal::TERM);
        self.within(PATIENCE).await;
        self.signal(Signal::KILL);
        self.close().await
    }

    async fn within(&mut self, span: Span) -> bool {
        let until = self.clock.now() + span;
        let clock = self.clock.clone();
        tokio::select! {
            () = self.ended() => true,
            () = clock.until(until) => false,
        }
    }

    /// Its group is named by the number of its first process, which is nobody else's while one of the group lives.
    fn signal(&self, signal: Signal) {
        if let Some(group) = self.group {
            // Without anybody in it there is nothing to end.
            let _ = kill_process_group(group, signal);
        }
    }

    async fn close(&mut self) -> Option<i32> {
        let code = self.child.wait().await.ok().and_then(|status| status.code());
        self.group = None;
        // Something that it began may hold the pipe open for ever.
        let until = self.clock.now() + LAST_WORDS;
        let clock = self.clock.clone();
        tokio::select! {
            _ = &mut self.said => {}
            () = clock.until(until) => {}
        }
        code
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
        self.said.abort();
    }
}
