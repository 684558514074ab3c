//! What a container gives up before it looks at anything that a user sent.

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetStatus,
    Scope,
};

/// Confines this process for good and says how, for the host's log.
///
/// `keep` is the highest descriptor that the container was given. No file can be opened after
/// this and no TCP connection made; a container that starts as root becomes `run_as`. What the
/// kernel does not offer is left out and told.
pub(super) fn confine(keep: i32, run_as: Option<(u32, u32)>) -> String {
    let mut done = Vec::new();
    close_others(keep);
    // SAFETY: prctl with constant arguments.
    let no_new_privs = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) } == 0;
    if no_new_privs {
        done.push("no-new-privs".to_owned());
    }
    // SAFETY: geteuid cannot fail.
    let root = unsafe { libc::geteuid() } == 0;
    if let (true, Some((uid, gid))) = (root, run_as) {
        match become_user(uid, gid) {
            Ok(()) => done.push(format!("uid={uid}")),
            Err(error) => done.push(format!("uid unchanged ({error})")),
        }
    }
    done.push(match landlock() {
        Ok(RulesetStatus::FullyEnforced) => "landlock".to_owned(),
        Ok(RulesetStatus::PartiallyEnforced) => "landlock (partly)".to_owned(),
        Ok(RulesetStatus::NotEnforced) => "no landlock".to_owned(),
        Err(error) => format!("no landlock ({error})"),
    });
    // Last: changing the user sets these back.
    // SAFETY: prctl with constant arguments.
    unsafe {
        if libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0) == 0 {
            done.push("not-dumpable".to_owned());
        }
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0);
    }
    done.join(", ")
}

/// Whether a description made by [`confine`] means that the data directory cannot be read.
pub(crate) fn is_confined(description: &str) -> bool {
    let mut parts = description.split(", ");
    parts.any(|part| part.starts_with("landlock") || part.starts_with("uid="))
}

fn close_others(keep: i32) {
    // SAFETY: nothing in this process owns a descriptor above those it was given.
    unsafe {
        let from = (keep + 1) as u32;
        if libc::syscall(libc::SYS_close_range, from, u32::MAX, 0) != 0 {
            // Before Linux 5.9: what the host inherited is close-on-exec anyway.
            for fd in keep + 1..1024 {
                libc::close(fd);
            }
        }
        for fd in crate::setup::CHANNEL_FD..=keep {
            libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC);
        }
    }
}

fn become_user(uid: u32, gid: u32) -> std::io::Result<()> {
    // SAFETY: plain system calls; the process has one thread, so libc's broadcast to others has
    // nobody to miss.
    let ok = unsafe {
        libc::setgroups(0, std::ptr::null()) == 0
            && libc::setresgid(gid, gid, gid) == 0
            && libc::setresuid(uid, uid, uid) == 0
    };
    if ok {
        Ok(())
    } else {
        Err(std::io::Error::last_os_error())
    }
}

/// Denies every file, every TCP port, and reaching other processes by signal or abstract socket.
fn landlock() -> Result<RulesetStatus, landlock::RulesetError> {
    // The newest that this code knows; an older kernel takes the part that it has.
    let abi = ABI::V6;
    let status = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(abi))?
        .handle_access(AccessNet::from_all(abi))?
        .scope(Scope::from_all(abi))?
        .create()?
        .restrict_self()?;
    Ok(status.ruleset)
}

#[cfg(test)]
mod tests {
    use super::is_confined;

    #[test]
    fn only_a_real_barrier_counts_as_confined() {
        assert!(is_confined("no-new-privs, landlock (partly), not-dumpable"));
        assert!(is_confined("no-new-privs, uid=65534, no landlock"));
        assert!(!is_confined(
            "no-new-privs, uid unchanged (denied), no landlock, not-dumpable"
        ));
    }
}
