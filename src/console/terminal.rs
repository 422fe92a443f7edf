//! Entering and leaving the terminal, the panic hook, and the watch for a line that is gone.

use std::{
    cell::Cell,
    io::{self, BufWriter, IsTerminal, Stdout, Write},
    panic,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use ratatui::{
    Terminal,
    backend::{Backend, ClearType, CrosstermBackend, WindowSize},
    buffer,
    crossterm::{
        cursor, execute, queue, style,
        terminal::{
            BeginSynchronizedUpdate, EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen,
            disable_raw_mode, enable_raw_mode,
        },
    },
    layout::{Position, Size},
};
use rustix::event::{PollFd, PollFlags, poll};
use tokio_util::sync::CancellationToken;

use super::event_loop::Surface;

/// Room for one whole frame, so that it is written at once.
const FRAME_BUFFER: usize = 64 * 1024;

/// Whether the terminal is ours now.
static ENTERED: AtomicBool = AtomicBool::new(false);

/// Whether the terminal was let go without being given back: nothing may be written to it any more.
static FORGOTTEN: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// Whether this is the thread of the screen.
    static DRAWS: Cell<bool> = const { Cell::new(false) };
}

/// Says that the calling thread is the one of the screen, whose panic gives the terminal back.
pub fn this_thread_draws() {
    DRAWS.set(true);
}

/// The terminal of the process.
pub type Screen = Terminal<QuietBackend<BufWriter<Stdout>>>;

/// A backend that writes nothing for a frame in which nothing changed, and whose frames appear at once.
#[derive(Debug)]
pub struct QuietBackend<W: Write> {
    inner: CrosstermBackend<W>,
    /// Whether the frame has written something.
    begun: bool,
    cursor_hidden: bool,
}

impl<W: Write> QuietBackend<W> {
    /// A backend that writes to `output`.
    pub const fn new(output: W) -> Self {
        Self { inner: CrosstermBackend::new(output), begun: false, cursor_hidden: false }
    }

    fn begin(&mut self) -> io::Result<()> {
        if !self.begun {
            queue!(self.inner, BeginSynchronizedUpdate)?;
            self.begun = true;
        }
        Ok(())
    }
}

impl<W: Write> Surface for QuietBackend<W> {
    fn end_frame(&mut self) -> io::Result<()> {
        if self.begun {
            self.begun = false;
            queue!(self.inner, EndSynchronizedUpdate)?;
            io::Write::flush(&mut self.inner)?;
        }
        Ok(())
    }
}

impl<W: Write> Backend for QuietBackend<W> {
    type Error = io::Error;

    fn draw<'a, I: Iterator<Item = (u16, u16, &'a buffer::Cell)>>(&mut self, content: I) -> io::Result<()> {
        let mut content = content.peekable();
        if content.peek().is_none() {
            return Ok(());
        }
        self.begin()?;
        self.inner.draw(content)
    }

    fn hide_cursor(&mut self) -> io::Result<()> {
        if !self.cursor_hidden {
            self.begin()?;
            self.inner.hide_cursor()?;
            self.cursor_hidden = true;
        }
        Ok(())
    }

    fn show_cursor(&mut self) -> io::Result<()> {
        self.cursor_hidden = false;
        self.inner.show_cursor()
    }

    fn get_cursor_position(&mut self) -> io::Result<Position> {
        self.inner.get_cursor_position()
    }

    fn set_cursor_position<P: Into<Position>>(&mut self, position: P) -> io::Result<()> {
        self.inner.set_cursor_position(position)
    }

    fn clear(&mut self) -> io::Result<()> {
        self.begin()?;
        self.inner.clear()
    }

    fn clear_region(&mut self, clear_type: ClearType) -> io::Result<()> {
        self.begin()?;
        self.inner.clear_region(clear_type)
    }

    fn size(&self) -> io::Result<Size> {
        self.inner.size()
    }

    fn window_size(&mut self) -> io::Result<WindowSize> {
        self.inner.window_size()
    }

    fn flush(&mut self) -> io::Result<()> {
        // A frame is written as a whole at its end.
        if self.begun { Ok(()) } else { io::Write::flush(&mut self.inner) }
    }
}

/// Whether input and output are a terminal.
#[must_use]
pub fn is_present() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal()
}

/// Takes the terminal: raw mode, alternate screen, hidden cursor. The guard gives it back.
///
/// # Errors
/// When it is none or is gone.
pub fn enter() -> io::Result<(Screen, Guard)> {
    // Without colours the theme takes care of it; crossterm's own way writes a reset into every cell.
    style::force_color_output(true);
    enable_raw_mode()?;
    ENTERED.store(true, Ordering::SeqCst);
    let guard = Guard;
    execute!(io::stdout(), EnterAlternateScreen, cursor::Hide)?;
    let output = BufWriter::with_capacity(FRAME_BUFFER, io::stdout());
    Ok((Terminal::new(QuietBackend::new(output))?, guard))
}

/// Gives the terminal back. May be called any number of times.
pub fn leave() {
    if ENTERED.swap(false, Ordering::SeqCst) {
        // There is nobody to tell when the terminal is gone.
        let _ = execute!(io::stdout(), LeaveAlternateScreen, cursor::Show);
        let _ = disable_raw_mode();
    }
}

/// Gives the terminal back when dropped.
#[derive(Debug)]
pub struct Guard;

impl Guard {
    /// Lets go of a terminal that is gone, without touching it.
    pub fn forget(self) {
        FORGOTTEN.store(true, Ordering::SeqCst);
        ENTERED.store(false, Ordering::SeqCst);
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        leave();
    }
}

/// Lets a panic of the screen's thread give the terminal back before it is printed. A panic of any other thread is logged
/// and leaves the screen alone: it ends a run, not the console.
pub fn install_panic_hook() {
    let default = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        let is_quiet = FORGOTTEN.load(Ordering::SeqCst) || (ENTERED.load(Ordering::SeqCst) && !DRAWS.get());
        if is_quiet {
            tracing::error!("defect in greenroom: {info}");
        } else {
            leave();
            default(info);
        }
    }));
}

/// Watches for the terminal's end from a thread that sleeps until then, and cancels `hang_up`.
///
/// Reading the input would not tell: with SIGHUP handled, crossterm reads a terminal that is gone again and again, and
/// never returns. So the input is an empty pipe from then on.
pub fn watch_hang_up(hang_up: CancellationToken) {
    // Without the thread SIGHUP still tells of most lines that drop.
    drop(thread::Builder::new().name("hang-up".to_owned()).spawn(move || {
        let input = io::stdin();
        loop {
            let mut descriptors = [PollFd::new(&input, PollFlags::empty())];
            match poll(&mut descriptors, None) {
                Ok(_) if descriptors[0].revents().intersects(PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL) => {
                    break;
                }
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(_) => return,
            }
        }
        if let Err(error) = silence_input() {
            tracing::warn!("the input of the terminal that is gone cannot be replaced: {error}");
        }
        hang_up.cancel();
    }));
}

/// Puts an empty pipe in the place of the input.
fn silence_input() -> io::Result<()> {
    let (reader, writer) = io::pipe()?;
    rustix::io::ioctl_fionbio(&reader, true)?;
    rustix::stdio::dup2_stdin(&reader)?;
    // Once the other side is closed it would end, and be read again and again as well.
    std::mem::forget(writer);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, rc::Rc};

    use ratatui::{TerminalOptions, Viewport, layout::Rect};

    use super::*;

    /// What was written, for the test to look at while the backend goes on writing.
    #[derive(Clone, Default)]
    struct Written(Rc<RefCell<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.borrow_mut().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_frame_in_which_nothing_changed_writes_nothing() {
        let viewport = Viewport::Fixed(Rect::new(0, 0, 20, 2));
        let options = TerminalOptions { viewport };
        let written = Written::default();
        let mut terminal = Terminal::with_options(QuietBackend::new(written.clone()), options).unwrap();
        let mut frame = |text: &str| {
            terminal.draw(|frame| frame.render_widget(text, frame.area())).unwrap();
            terminal.backend_mut().end_frame().unwrap();
            written.0.take()
        };
        let first = String::from_utf8(frame("one")).unwrap();
        assert!(first.starts_with("\x1b[?2026h") && first.ends_with("\x1b[?2026l"), "{first:?}");
        assert_eq!(frame("one"), b"");
        assert!(String::from_utf8(frame("two")).unwrap().contains("two"));
    }
}
