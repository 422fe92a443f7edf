//! Processes of this machine: telling one from a later one with the same number, and ending one.

use std::{fs, io};

use rustix::process::{Pid, Signal};

/// When the process `pid` began, in the kernel's ticks since the machine did; `None` when there is no such process or the
/// system does not tell (`/proc/PID/stat`, field 22, see `proc(5)`).
///
/// Numbers of processes come again, a number with its beginning does not.
#[must_use]
pub fn began(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is a name in parentheses that may hold anything.
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_ascii_whitespace().nth(19)?.parse().ok()
}

/// The name of the program that the process `pid` runs.
#[must_use]
pub fn name(pid: u32) -> Option<String> {
    fs::read_to_string(format!("/proc/{pid}/comm")).ok().map(|name| name.trim_end().to_owned())
}

/// Ends the process `pid` that began at `began`, at once and whatever it does (SIGKILL).
///
/// # Errors
/// [`io::ErrorKind::NotFound`] when there is no such process any more; whatever the system says against it otherwise.
pub fn kill(pid: u32, began: u64) -> io::Result<()> {
    let gone = || io::Error::from(io::ErrorKind::NotFound);
    let handle = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or_else(gone)?;
    #[cfg(target_os = "linux")]
    {
        // The handle stays with the process that it was opened for, whatever its number stands for later.
        let opened = rustix::process::pidfd_open(handle, rustix::process::PidfdFlags::empty())
            .map_err(|error| if error == rustix::io::Errno::SRCH { gone() } else { error.into() })?;
        if self::began(pid) != Some(began) {
            return Err(gone());
        }
        rustix::process::pidfd_send_signal(&opened, Signal::KILL).map_err(Into::into)
    }
    #[cfg(not(target_os = "linux"))]
    {
        if self::began(pid) != Some(began) {
            return Err(gone());
        }
        rustix::process::kill_process(handle, Signal::KILL).map_err(Into::into)
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn only_the_process_that_is_meant_is_ended() {
        let mut child = Command::new("sleep").arg("600").spawn().unwrap();
        let began = began(child.id()).unwrap();
        assert_eq!(name(child.id()).as_deref(), Some("sleep"));
        assert_eq!(kill(child.id(), began + 1).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(child.try_wait().unwrap().is_none());
        kill(child.id(), began).unwrap();
        assert!(!child.wait().unwrap().success());
        assert_eq!(kill(child.id(), began).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
