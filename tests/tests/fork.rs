//! A child process after `fork` has no thread but the one that forked: the watch is started anew there.
#![cfg(unix)]

use std::future::pending;
use std::time::{Duration, Instant};

use piggyback::dedup;
use piggyback_tests::by_hand::ByHand;

#[dedup]
async fn user(id: u64) -> u64 {
    pending::<()>().await;
    id
}

#[dedup]
async fn order(id: u64) -> u64 {
    pending::<()>().await;
    id
}

/// Whether the follower of a leader that is not polled is woken.
macro_rules! is_watched {
    ($call:expr) => {{
        let calls = [$call, $call].map(ByHand::waiting);
        let began = Instant::now();
        while calls[1].wakes() == 0 && began.elapsed() < Duration::from_secs(10) {
            std::thread::sleep(Duration::from_millis(2));
        }
        calls[1].wakes() > 0
    }};
}

#[test]
fn a_child_after_fork_is_watched_by_its_own_thread() {
    assert!(is_watched!(user(1)));
    // `user` is armed as the process forks, and in the child's memory, too. `order` is not.
    let _calls = [user(2), user(2)].map(ByHand::waiting);
    // SAFETY: the child runs only what follows, and leaves without returning to the test harness.
    match unsafe { libc::fork() } {
        -1 => panic!("fork: {}", std::io::Error::last_os_error()),
        0 => {
            // The first of 64 calls of a thread finds out, at the latest.
            let more = (10..74).map(|id| [user(id), user(id)].map(ByHand::waiting));
            let _more: Vec<_> = more.collect();
            let watched = is_watched!(user(3)) && is_watched!(order(1));
            // SAFETY: it ends the process, and does nothing else.
            unsafe { libc::_exit(if watched { 0 } else { 1 }) }
        }
        child => {
            let mut status = 0;
            // SAFETY: the pointer is to a local.
            assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
            assert!(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0);
        }
    }
    assert!(is_watched!(order(2)));
}
