//! Findings about an image before it runs, and what the platform would do with it.

use super::platform::architecture;
use crate::model::files::{ImageFiles, Machine, Program};
use crate::model::outcome::{Cause, Finding};
use crate::model::words::is_shell;
use crate::model::{ImageFacts, Platform, Service};

/// Placeholder in texts: the platform's name.
const NAME: &str = "{platform}";
/// Placeholder in texts: what the platform's service log says about an exited process; `*` stands for the exit code.
const LOGGED: [&str; 2] = ["{service log of ", "}"];
/// Free disk in bytes below which little can be written.
const NEARLY_FULL: u64 = 500_000_000;
/// Variables that point programs to other certificate authorities.
const CA_VARIABLES: [&str; 3] = ["SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE"];
/// Characters that only a shell interprets; the platform passes them on unchanged.
const SHELL_SIGNS: &str = "'\"\\&|;<>$`*?(){}~#\n";

/// Every finding about an image, fatal ones first. `files`: what was read from the image.
#[must_use]
pub(crate) fn findings(facts: &ImageFacts, files: Option<&ImageFiles>, service: &Service) -> Vec<Finding> {
    on(&service.platform, facts, files, service.start_command.as_deref())
}

fn on(
    platform: &Platform,
    facts: &ImageFacts,
    files: Option<&ImageFiles>,
    start_command: Option<&str>,
) -> Vec<Finding> {
    let mut all: Vec<Finding> =
        [foreign_image(facts, platform), foreign_index(facts, platform)].into_iter().flatten().collect();
    let foreign = !all.is_empty();
    let program = files.and_then(|f| of_program(&f.program, &Executor::Runtime, &platform.architecture));
    // In an image for another processor, everything is for that processor.
    all.extend(program.filter(|p| !foreign || p.cause.id != PROGRAM));
    let told = foreign || all.iter().any(|f| f.cause.id == PROGRAM);
    all.extend(files.filter(|_| !told).and_then(native));
    all.extend(platform.disk_gb.and_then(|disk| size(facts, disk)));
    if let Some(command) = start_command.filter(|_| platform.splits_command) {
        all.extend(command_words(command));
        all.extend(command_entrypoint(facts, command));
    }
    all.extend(files.and_then(|files| no_authorities(facts, files)));
    all.sort_by_key(|finding| !finding.fatal);
    all.iter_mut().for_each(|finding| finding.cause.text = in_words_of(&finding.cause.text, platform));
    all
}

/// Fills in the platform's own words.
fn in_words_of(text: &str, platform: &Platform) -> String {
    let mut text = text.replace(NAME, &platform.name);
    let [begin, end] = LOGGED;
    while let Some((before, rest)) = text.split_once(begin)
        && let Some((code, after)) = rest.split_once(end)
    {
        let line = if platform.service_log {
            format!(
                ", and `Your application stopped or failed to start. See logs for more information.  Container exit \
                 code: {code}` in the service log, about 54 s after the health check began"
            )
        } else {
            String::new()
        };
        text = format!("{before}{line}{after}");
    }
    text
}

/// The rule for the executed program.
const PROGRAM: &str = "arch-mismatch-program";

/// Whether the finding is about the processor: running such an image on another machine proves nothing.
#[must_use]
pub(crate) fn decides(finding: &Finding) -> bool {
    finding.fatal && [PROGRAM, "index-without-amd64"].contains(&finding.cause.id.as_str())
}

fn cause(id: &str, text: String, fix: &str, evidence: Vec<String>) -> Cause {
    Cause { id: id.to_owned(), text, fix: fix.to_owned(), evidence, ..Cause::default() }
}

fn fatal(exit_code: Option<i64>, cause: Cause) -> Finding {
    Finding { cause, fatal: true, exit_code }
}

fn warning(cause: Cause) -> Finding {
    Finding { cause, fatal: false, exit_code: None }
}

/// What the platform shows for a process that ends at once.
fn class_b(code: i64, line: &str) -> String {
    let [begin, end] = LOGGED;
    format!(
        "On {NAME} the process ends at once (class B): `{line}` in the application log, where there is \
         one{begin}{code}{end}."
    )
}

fn foreign_image(facts: &ImageFacts, platform: &Platform) -> Option<Finding> {
    architecture(facts, platform).map(|cause| fatal(Some(1), cause))
}

fn foreign_index(facts: &ImageFacts, platform: &Platform) -> Option<Finding> {
    let good = format!("linux/{}", platform.architecture);
    if facts.platforms.is_empty() || facts.platforms.contains(&good) {
        return None;
    }
    let platforms = facts.platforms.join(", ");
    Some(fatal(
        None,
        cause(
            "index-without-amd64",
            format!(
                "The name leads to an index of images for {platforms}; none of them is for linux/amd64, the only \
                 platform of {NAME}. The deployment fails when the image is pulled (class A, no application log) \
                 or when it is executed (class B, `exec format error`)."
            ),
            "Build and push it for the platform as well: `docker buildx build --platform linux/amd64 --push …`.",
            vec![format!("platforms of the index: {platforms}")],
        ),
    ))
}

/// What executes a program.
enum Executor<'a> {
    /// The container runtime, as the container's first process.
    Runtime,
    /// The kernel, for a script.
    Kernel {
        /// The script's path.
        script: &'a str,
        /// Whether a program executes the script.
        wrapped: bool,
    },
    /// The program at this path.
    Wrapper(&'a str),
}

impl Executor<'_> {
    /// Whether the kernel's refusal reaches a program that handles it: env, tini and shells exit with 127 if the file
    /// is missing and 126 if it is not executable, and pass unknown formats to a shell (execvp,
    /// <https://man7.org/linux/man-pages/man3/exec.3.html>).
    fn wrapped(&self) -> bool {
        matches!(self, Self::Wrapper(_) | Self::Kernel { wrapped: true, .. })
    }

    /// The exit code if the kernel refuses to execute the file.
    fn refused(&self, by_wrapper: Option<i64>) -> Option<i64> {
        if self.wrapped() { by_wrapper } else { Some(1) }
    }

    /// A program in a format the kernel does not know: fatal, except for a script's interpreter that a shell takes
    /// over.
    fn unknown_format(&self, cause: Cause) -> Finding {
        match self {
            Self::Kernel { wrapped: true, .. } => warning(cause),
            _ => fatal(self.refused(None), cause),
        }
    }

    /// What the log says, and what the platform does.
    fn says(&self, path: &str, error: &str, by_wrapper: Option<i64>) -> String {
        let path = if let Self::Kernel { script, .. } = self { script } else { path };
        match self.refused(by_wrapper) {
            Some(code) => class_b(code, &format!("exec {path}: {error}")),
            None => format!("On {NAME} the process ends at once (class B), and the log says `{error}`."),
        }
    }
}

/// A finding about the program that is executed, on a machine of this architecture.
fn of_program(program: &Program, by: &Executor<'_>, architecture: &str) -> Option<Finding> {
    match program {
        Program::Elf { path, machine, interpreter, interpreter_found, next } => {
            let loader = interpreter.as_deref().filter(|_| !interpreter_found);
            let foreign = (!machine.is(architecture)).then(|| foreign_program(path, *machine, by));
            foreign
                .or_else(|| loader.map(|loader| missing_loader(path, loader, by)))
                .or_else(|| next.as_ref().and_then(|next| of_program(next, &Executor::Wrapper(path), architecture)))
        }
        Program::Script { path, first_line, interpreter: None, .. } => no_shebang(path, first_line, by),
        Program::Script { path, interpreter: Some(name), argument, crlf: true, first_line, .. } => {
            Some(crlf(path, name, argument.as_deref(), first_line, by))
        }
        Program::Script { path, next, .. } => {
            let by = Executor::Kernel { script: path, wrapped: by.wrapped() };
            next.as_ref().and_then(|next| of_program(next, &by, architecture))
        }
        Program::Alien { path, format } => Some(by.unknown_format(cause(
            PROGRAM,
            format!("{path}, which is executed, is {format}. {}", by.says(path, "exec format error", None)),
            "Copy a program for Linux on x86-64 into the image: build it in the Dockerfile, not on the laptop.",
            vec![format!("first bytes of {path}: {format}")],
        ))),
        Program::NotExecutable { path } => {
            Some(not_executable(path, "it has no permission to be executed (mode bits x)", by))
        }
        Program::Directory { path } => Some(not_executable(path, "it is a folder", by)),
        Program::Missing { word } => Some(missing(word, by)),
        Program::Unknown { .. } => None,
    }
}

fn foreign_program(path: &str, machine: Machine, by: &Executor<'_>) -> Finding {
    let evidence = vec![format!("ELF header of {path}: {machine}, {} bits", machine.bits)];
    let fix = "Build it for linux/amd64 inside of the image's own build (`docker buildx build --platform linux/amd64`, \
               `GOARCH=amd64`, `--target x86_64-unknown-linux-…`), and copy nothing that a laptop has built.";
    if [3, 62].contains(&machine.number) {
        let text = format!(
            "{path}, which is executed, is a program for {machine}. It runs only where the kernel has a mode for it; \
             whether {NAME}'s has is not known."
        );
        return warning(cause(PROGRAM, text, fix, evidence));
    }
    let text = format!(
        "The image says that it is linux/amd64, but {path}, which is executed, is a program for {machine}. {}",
        by.says(path, "exec format error", None)
    );
    by.unknown_format(cause(PROGRAM, text, fix, evidence))
}

fn missing_loader(path: &str, loader: &str, by: &Executor<'_>) -> Finding {
    let libc = if loader.contains("musl") {
        "it is built for Alpine (musl), and the image is not Alpine"
    } else {
        "it is built for glibc, and the image has another C library or none (Alpine, scratch)"
    };
    let text = format!(
        "{path} is there, but the loader that it names, {loader}, is not in the image: {libc}. {}",
        by.says(path, "no such file or directory", Some(127))
    );
    let fix =
        "Build it in the same base image that it runs in, or link it statically (`CGO_ENABLED=0`, a musl target).";
    let evidence = vec![format!("ELF header of {path}: interpreter {loader}"), format!("{loader}: not in the image")];
    fatal(by.refused(Some(127)), cause("missing-interpreter", text, fix, evidence))
}

fn no_shebang(path: &str, first_line: &str, by: &Executor<'_>) -> Option<Finding> {
    // A program that executes another passes such a script to the shell.
    if by.wrapped() {
        return None;
    }
    let mark = first_line.starts_with("\u{feff}#!");
    let what = if mark { "its `#!` stands behind a byte order mark" } else { "it does not begin with `#!`" };
    let fix = if mark {
        "Save the script as UTF-8 without a byte order mark."
    } else {
        "Begin the script with `#!/bin/sh`, or name the shell in the command (`CMD [\"/bin/sh\", \"/start.sh\"]`)."
    };
    let text = format!(
        "{path} is text that is executed directly, and {what}: a shell would run it, the kernel does not. {}",
        by.says(path, "exec format error", None)
    );
    let evidence = vec![format!("first line of {path}: {first_line:?}")];
    Some(fatal(Some(1), cause("no-shebang", text, fix, evidence)))
}

fn crlf(path: &str, interpreter: &str, argument: Option<&str>, first_line: &str, by: &Executor<'_>) -> Finding {
    let (exit_code, what) = match argument {
        None => {
            let what = format!("the kernel looks for an interpreter named {interpreter:?}");
            (by.refused(Some(127)), format!("{what}. {}", by.says(path, "no such file or directory", Some(127))))
        }
        Some(word) if interpreter.ends_with("/env") => {
            let line = format!("env: {word:?}: No such file or directory");
            (Some(127), format!("env looks for a program named {word:?}. {}", class_b(127, &line)))
        }
        Some(word) => {
            let text = "It refuses that, and the process ends at once (class B), mostly with exit code 2.";
            (None, format!("{interpreter} gets the option {word:?}. {text}"))
        }
    };
    let text = format!("The first line of {path} ends with a carriage return (Windows line ends), so {what}");
    let fix = "Give the script Unix line ends: `*.sh text eol=lf` in .gitattributes, `git add --renormalize .`, commit, \
               and check the file out again; or `RUN sed -i 's/\\r$//' PATH` in the Dockerfile.";
    let fix = &fix.replace("PATH", path);
    fatal(exit_code, cause("crlf-shebang", text, fix, vec![format!("first line of {path}: {first_line:?}")]))
}

fn not_executable(path: &str, what: &str, by: &Executor<'_>) -> Finding {
    let exit_code = if matches!(by, Executor::Kernel { wrapped: false, .. }) { 1 } else { 126 };
    let text = format!(
        "{path} is executed, but {what}. {} Where the runtime refuses before a process exists, the deployment fails \
         without an application log (class A).",
        class_b(exit_code, &format!("exec {path}: permission denied"))
    );
    let fix = "`RUN chmod +x …` or `COPY --chmod=755 …` in the Dockerfile (a bind mount, or a laptop that keeps no mode \
               bits, hides it), or name the interpreter in the command.";
    fatal(Some(exit_code), cause("not-executable", text, fix, vec![format!("{path}: {what}")]))
}

fn missing(word: &str, by: &Executor<'_>) -> Finding {
    let nowhere = if word.contains('/') { "there is no such file" } else { "no folder of PATH has it" };
    let evidence = vec![format!("{word:?}: {nowhere}")];
    match by {
        Executor::Runtime if word.is_empty() => fatal(
            None,
            cause(
                "missing-program",
                format!(
                    "The image has neither ENTRYPOINT nor CMD, and the service has no start command: there is nothing \
                     to execute. On {NAME} the deployment fails without an application log (class A)."
                ),
                "Give the Dockerfile a CMD, or the service a start command.",
                vec!["image configuration: no ENTRYPOINT, no CMD".to_owned()],
            ),
        ),
        Executor::Runtime => fatal(
            Some(127),
            cause(
                "missing-program",
                format!(
                    "The command begins with `{word}`, and the image has no such program: {nowhere}. On {NAME} the \
                     runtime refuses to start it: exit code 127 (class B), or a deployment that fails without an \
                     application log (class A)."
                ),
                "Install it in the image, or write the command with the path that it has there; a virtual environment \
                 must be on the image's own PATH.",
                evidence,
            ),
        ),
        Executor::Kernel { script, .. } => fatal(
            by.refused(Some(127)),
            cause(
                "missing-interpreter",
                format!(
                    "The `#!` line of {script} names {word}, which is not in the image. {}",
                    by.says(script, "no such file or directory", Some(127))
                ),
                "Name an interpreter that the image has (`#!/bin/sh`; Alpine and slim images have no bash), or install \
                 it.",
                evidence,
            ),
        ),
        Executor::Wrapper(wrapper) => {
            let spaces = word.contains(' ') && wrapper.ends_with("/env");
            let fix = if spaces {
                "The kernel hands all that follows `env` over as one word: write `#!/usr/bin/env -S …`."
            } else {
                "Install it in the image, or write the path that it has there."
            };
            let text = format!(
                "{wrapper} is to execute `{word}`, which is not in the image: {nowhere}. {}",
                class_b(127, &format!("{wrapper}: {word}: No such file or directory"))
            );
            fatal(Some(127), cause("missing-program", text, fix, evidence))
        }
    }
}

fn native(files: &ImageFiles) -> Option<Finding> {
    let first = files.native.first()?;
    let count = files.native_count.max(files.native.len());
    let mut evidence: Vec<String> =
        files.native.iter().map(|file| format!("ELF header of {}: {}", file.path, file.machine)).collect();
    if count > files.native.len() {
        evidence.push(format!("and {} more", count - files.native.len()));
    }
    let text = format!(
        "The image has {count} native file(s) for another processor, {} among them ({}). A program that loads one of \
         them dies on {NAME} (class B, mostly exit code 1): `invalid ELF header`, `wrong architecture`, `cannot \
         open shared object file`.",
        first.path, first.machine
    );
    let fix = "Install the dependencies inside of the build for linux/amd64, not by copying node_modules or \
               site-packages from a laptop (.dockerignore).";
    Some(warning(cause("arch-mismatch-native", text, fix, evidence)))
}

fn gigabytes(bytes: u64) -> String {
    format!("{:.2} GB", bytes as f64 / 1e9)
}

fn size(facts: &ImageFacts, disk_gb: u64) -> Option<Finding> {
    let size = gigabytes(facts.size);
    let evidence = vec![format!("size of the image on this engine: {} bytes", facts.size)];
    let fix = "Leave out what only the build needs: a multi-stage Dockerfile, a slim base, no package caches, models and \
               data in S3.";
    if facts.size > disk_gb << 30 {
        let text = format!(
            "The image takes {size}; an instance of {NAME} has {disk_gb} GB of disk, the image included. The deployment \
             fails when the image is unpacked (class A, no application log)."
        );
        return Some(fatal(None, cause("image-too-large", text, fix, evidence)));
    }
    (facts.size + NEARLY_FULL >= disk_gb * 1_000_000_000).then(|| {
        let text = format!(
            "The image takes {size} of the {disk_gb} GB of disk that an instance of {NAME} has: what the program writes \
             (caches, uploads, /tmp) may not find room (`No space left on device`)."
        );
        warning(cause("image-too-large", text, fix, evidence))
    })
}

fn show(words: &[&str]) -> String {
    words.iter().map(|word| format!("{word:?}")).collect::<Vec<_>>().join(", ")
}

fn command_words(command: &str) -> Option<Finding> {
    let signs: Vec<String> =
        SHELL_SIGNS.chars().filter(|sign| command.contains(*sign)).map(|sign| format!("{sign:?}")).collect();
    if signs.is_empty() {
        return None;
    }
    let words: Vec<&str> = command.split_whitespace().collect();
    let text = format!(
        "The start command uses {}, which need a shell, and {NAME} starts none: it splits the command at white space, so \
         that quotes stay in the words, `&&` and what follows are arguments, and variables are not filled in. The \
         program would get {} words. Seen in the field: `sh -c \"uv run x\"` dies with exit code 2 (`Unterminated \
         quoted string`).",
        signs.join(" "),
        words.len()
    );
    let fix = "Put the line into a script in the image and name that (`/app/start.sh`), or into the Dockerfile's CMD; \
               `exitone run --with command.split` tries it as it would arrive.";
    Some(warning(cause("start-command-words", text, fix, vec![format!("words as they arrive: {}", show(&words))])))
}

fn command_entrypoint(facts: &ImageFacts, command: &str) -> Option<Finding> {
    let entrypoint: Vec<&str> = facts.entrypoint.iter().map(String::as_str).collect();
    if entrypoint.is_empty() {
        return None;
    }
    let words: Vec<&str> = command.split_whitespace().collect();
    let both = [entrypoint.as_slice(), &words].concat();
    let mut text = format!(
        "The image has an ENTRYPOINT and the service a start command. Whether {NAME} hands the start command to the \
         ENTRYPOINT or executes it in its place is not documented."
    );
    if is_shell_form(&entrypoint) {
        text.push_str(
            " This ENTRYPOINT is in shell form (`ENTRYPOINT command …`, without brackets): it would ignore the start \
             command altogether, and the image's own command would run.",
        );
    }
    let fix = "Write the Dockerfile so that both readings do the same: no ENTRYPOINT and a CMD, or one that ends with \
               `exec \"$@\"`; `exitone run --with command.no-entrypoint` tries the second reading.";
    let evidence =
        vec![format!("kept, the words are: {}", show(&both)), format!("replaced, the words are: {}", show(&words))];
    Some(warning(cause("start-command-entrypoint", text, fix, evidence)))
}

/// Whether this is `["/bin/sh", "-c", "…"]`: words after it become the script's own `$0`, `$1`, ….
fn is_shell_form(entrypoint: &[&str]) -> bool {
    let [shell, option, _] = entrypoint else { return false };
    is_shell(shell) && option.starts_with('-') && option.ends_with('c')
}

fn no_authorities(facts: &ImageFacts, files: &ImageFiles) -> Option<Finding> {
    // Unless every file was read, only a single static program is known to have no other source of them.
    let known = files.native_checked || matches!(files.program, Program::Elf { interpreter: None, .. });
    let elsewhere = CA_VARIABLES.iter().any(|name| facts.env.contains_key(*name));
    if !known || elsewhere || files.ca_bundle.is_some() {
        return None;
    }
    Some(warning(cause(
        "no-ca-bundle",
        "The image has no certificate authorities. A program that needs HTTPS (AWS, a database with TLS, any API) and \
         does not carry its own list fails there: `certificate signed by unknown authority`, `unable to get local \
         issuer certificate`. A laptop whose files are mounted into the container hides it."
            .to_owned(),
        "Install them (`apt-get install ca-certificates`, `apk add ca-certificates`), or copy \
         /etc/ssl/certs/ca-certificates.crt from the build stage.",
        vec!["no certificate authorities at the usual places".to_owned()],
    )))
}

#[cfg(test)]
mod tests;
