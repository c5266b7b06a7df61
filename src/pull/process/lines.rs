//! A program's output, line by line, with a bound on each. Not read while nobody asks: the pipe fills, and the program
//! waits.

use tokio::io::{AsyncRead, AsyncReadExt};

/// Bytes asked for at once.
const AT_ONCE: usize = 64 << 10;
/// What is kept of a line that is too long.
const BEGINNING: usize = 1 << 10;

/// A line, or why there is none.
#[derive(Debug, PartialEq, Eq)]
pub enum Line {
    /// Without its end; bytes that are not UTF-8 are replaced.
    Text(String),
    /// The beginning of one that was longer than a line may be.
    TooLong(String),
    /// There are no more.
    End,
}

/// Lines of an output.
pub struct Lines<R> {
    from: R,
    longest: usize,
    held: Vec<u8>,
    /// Where the next line begins, and how far there is no end of it.
    start: usize,
    looked: usize,
    /// The rest of a line that was too long is passed over.
    is_skipping: bool,
    is_ended: bool,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    /// Of `from`, none longer than `longest`.
    pub fn new(from: R, longest: usize) -> Self {
        Self { from, longest, held: Vec::new(), start: 0, looked: 0, is_skipping: false, is_ended: false }
    }

    /// The next line, when it is there without waiting.
    pub fn ready(&mut self) -> Option<Line> {
        loop {
            let rest = self.held.get(self.looked..).unwrap_or_default();
            if let Some(length) = rest.iter().position(|byte| *byte == b'\n') {
                let end = self.looked + length;
                let line = self.held.get(self.start..end).unwrap_or_default();
                let line = if line.len() > self.longest { too_long(line) } else { Line::Text(text(line)) };
                (self.start, self.looked) = (end + 1, end + 1);
                if std::mem::take(&mut self.is_skipping) {
                    continue;
                }
                return Some(line);
            }
            self.looked = self.held.len();
            let left = self.held.get(self.start..).unwrap_or_default();
            if self.is_skipping {
                self.held.clear();
                (self.start, self.looked) = (0, 0);
            } else if left.len() > self.longest {
                let line = too_long(left);
                self.held.clear();
                (self.start, self.looked, self.is_skipping) = (0, 0, true);
                return Some(line);
            } else if self.is_ended && !left.is_empty() {
                let line = text(left);
                self.start = self.held.len();
                return Some(Line::Text(line));
            }
            return self.is_ended.then_some(Line::End);
        }
    }

    /// Reads more. May be given up at any time: nothing is lost.
    pub async fn fill(&mut self) {
        if self.start > 0 {
            self.held.drain(..self.start);
            self.looked -= self.start;
            self.start = 0;
        }
        self.held.reserve(AT_ONCE);
        // An output that cannot be read any more is at its end.
        if !matches!(self.from.read_buf(&mut self.held).await, Ok(n) if n > 0) {
            self.is_ended = true;
        }
    }

    /// The next line.
    pub async fn next(&mut self) -> Line {
        loop {
            if let Some(line) = self.ready() {
                return line;
            }
            self.fill().await;
        }
    }
}

fn too_long(line: &[u8]) -> Line {
    Line::TooLong(text(line.get(..BEGINNING).unwrap_or(line)))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim_end_matches('\r').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn check(text: &[u8], longest: usize, wanted: &[Line]) {
        for at_once in [1, 3, 1_000] {
            let chunks = Chunks(text.chunks(at_once).map(<[u8]>::to_vec).collect());
            let mut lines = Lines::new(chunks, longest);
            for wanted in wanted {
                assert_eq!(lines.next().await, *wanted, "{at_once} bytes at once");
            }
            assert_eq!(lines.next().await, Line::End);
            assert_eq!(lines.next().await, Line::End);
        }
    }

    /// Gives one chunk at a time.
    struct Chunks(std::collections::VecDeque<Vec<u8>>);

    impl AsyncRead for Chunks {
        fn poll_read(
            mut self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
            buffer: &mut tokio::io::ReadBuf<'_>,
        ) -> std::task::Poll<std::io::Result<()>> {
            if let Some(chunk) = self.0.pop_front() {
                buffer.put_slice(&chunk);
            }
            std::task::Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn lines_come_whole_however_they_are_cut() {
        let line = |text: &str| Line::Text(text.into());
        check(b"", 10, &[]).await;
        check(b"a\n\nbc\r\nd", 10, &[line("a"), line(""), line("bc"), line("d")]).await;
        check("ä\u{1F600}\n".as_bytes(), 10, &[line("ä\u{1F600}")]).await;
        check(b"\xff\n", 10, &[line("\u{fffd}")]).await;
    }

    #[tokio::test]
    async fn a_line_that_is_too_long_is_told_once() {
        let long = [vec![b'x'; 5_000], b"\nnext\n".to_vec()].concat();
        let mut lines = Lines::new(&long[..], 2_000);
        assert!(matches!(lines.next().await, Line::TooLong(beginning) if beginning.len() == 1_024));
        assert_eq!((lines.next().await, lines.next().await), (Line::Text("next".into()), Line::End));
        let long = vec![b'x'; 500_000];
        let mut lines = Lines::new(&long[..], 2_000);
        assert!(matches!(lines.next().await, Line::TooLong(_)));
        assert_eq!(lines.next().await, Line::End);
    }
}
