//! How the process ended, and the rules of last resort.

use super::{Basis, DEVELOP, Rule, Seen};

const SIGNALS: &str = "https://man7.org/linux/man-pages/man7/signal.7.html";

const fn ends(id: &'static str, seen: &'static [Seen], text: &'static str, fix: &'static str) -> Rule {
    Rule { id, basis: Basis::End, seen, unless: &[], also: &[], text, fix, reference: DEVELOP, alone: false }
}

/// The rules, most certain first.
pub(super) const RULES: &[Rule] = &[
    ends(
        "out-of-memory",
        &[Seen::OutOfMemory],
        "The kernel killed the process because it needed more memory than {memory}.",
        "Give the instance more memory ({more_memory}), or start fewer workers.",
    ),
    Rule {
        unless: &[Seen::OutOfMemory],
        reference: SIGNALS,
        ..ends(
            "killed",
            &[Seen::Exited, Seen::ByEngine, Seen::Code(&[137])],
            "The process was killed (SIGKILL, code 137), and not by the kernel for its memory: something in the container did \
             it.",
            "Look for what ends it: a supervisor's time-out, a worker's time-out, a script.",
        )
    },
    Rule {
        reference: SIGNALS,
        ..ends(
            "segmentation-fault",
            &[Seen::Exited, Seen::Code(&[139])],
            "The process read or wrote memory that is not its own (SIGSEGV, code 139).",
            "A native library for another processor or C library is the usual reason: install it in the image's own build.",
        )
    },
    Rule {
        reference: SIGNALS,
        ..ends(
            "aborted",
            &[Seen::Exited, Seen::Code(&[134])],
            "The process aborted itself (SIGABRT, code 134).",
            "Its last lines say why; where there are none, run it with its runtime's own diagnostics switched on.",
        )
    },
    ends(
        "command-finished",
        &[Seen::Exited, Seen::Code(&[0])],
        "The command came to its end without an error (code 0): the container ends with it, and a service must go on.",
        "Start the server in the foreground as the last command (`exec …`): a daemon that goes to the background takes the \
         container with it.",
    ),
    Rule {
        alone: true,
        ..ends(
            "uncaught-exception",
            &[Seen::Exited, Seen::AnyCrash],
            "The program ended with an error that nothing caught: `{said}`[ ({where})].",
            "Mend it there. If it does not happen locally, run the image itself, without mounts and with the variables of the \
             service: what differs is in the image or in the environment.",
        )
    },
    ends(
        "no-output",
        &[Seen::Exited, Seen::Quiet],
        "The process ended with code {code} without a word.",
        "Make it speak: PYTHONUNBUFFERED=1 for Python, `set -x` in a start script, logging set up before settings are loaded.",
    ),
];
