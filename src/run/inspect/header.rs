//! Reads the first bytes of a file as the kernel does.

use crate::model::files::Machine;
use crate::model::redact::{REDACTED, line_is_private};

/// Number of bytes read to identify a file.
pub(crate) const HEAD: usize = 4096;
/// Number of bytes of a script that the kernel reads (`BINPRM_BUF_SIZE`, include/uapi/linux/binfmts.h, since Linux
/// 5.1).
const KERNEL_READS: usize = 256;
/// Maximum length (characters) of the first line that is kept.
const LINE: usize = 120;

/// The format of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Head {
    /// An ELF file.
    Elf(Elf),
    /// Text.
    Text {
        /// Its first line, shortened.
        first_line: String,
        /// Its `#!` line, if the kernel sees one.
        shebang: Option<Shebang>,
    },
    /// Neither; the format in words.
    Alien(&'static str),
}

/// What an ELF header says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Elf {
    /// What it is built for.
    pub(crate) machine: Machine,
    /// Whether it is a program or a shared object, as opposed to an object file for the linker.
    pub(crate) loadable: bool,
    /// Where the loader's name is.
    pub(crate) loader: Loader,
}

/// Where the loader's name is in an ELF file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loader {
    /// It needs none.
    None,
    /// At these bytes.
    At {
        /// Offset in the file.
        offset: usize,
        /// Number of bytes.
        size: usize,
    },
    /// The bytes read so far do not tell.
    Unknown,
}

/// A `#!` line as the kernel splits it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shebang {
    /// The first word.
    pub(crate) interpreter: String,
    /// Everything after it, as one word.
    pub(crate) argument: Option<String>,
    /// Whether the line ends with a carriage return, which becomes part of the last word.
    pub(crate) crlf: bool,
}

/// Identifies a file by its first bytes.
#[must_use]
pub(crate) fn head(bytes: &[u8]) -> Head {
    if let Some(elf) = elf(bytes) {
        return Head::Elf(elf);
    }
    if let Some(format) = alien(bytes) {
        return Head::Alien(format);
    }
    let line = bytes.split(|b| *b == b'\n').next().unwrap_or_default();
    let shown: String = String::from_utf8_lossy(line).chars().take(LINE).collect();
    // A script may begin with a secret, whose value is not known here.
    let first_line = if line_is_private(&shown) { REDACTED.to_owned() } else { shown };
    Head::Text { first_line, shebang: shebang(bytes) }
}

fn alien(bytes: &[u8]) -> Option<&'static str> {
    // Mach-O of 32 and 64 bits, of both byte orders.
    let mach = [[0xfe, 0xed, 0xfa, 0xce], [0xfe, 0xed, 0xfa, 0xcf], [0xce, 0xfa, 0xed, 0xfe], [0xcf, 0xfa, 0xed, 0xfe]];
    if mach.iter().any(|magic| bytes.starts_with(magic)) {
        return Some("a program for macOS");
    }
    if bytes.starts_with(b"MZ") && bytes.contains(&0) {
        return Some("a program for Windows");
    }
    bytes.contains(&0).then_some("no program that Linux knows")
}

/// Reads numbers of a header in its byte order.
struct Numbers<'a> {
    bytes: &'a [u8],
    big: bool,
}

impl Numbers<'_> {
    fn at(&self, offset: usize, size: usize) -> Option<u64> {
        let field = self.bytes.get(offset..offset.checked_add(size)?)?;
        let add = |number: u64, byte: &u8| (number << 8) | u64::from(*byte);
        Some(if self.big { field.iter().fold(0, add) } else { field.iter().rev().fold(0, add) })
    }

    fn place(&self, offset: usize, size: usize) -> Option<usize> {
        usize::try_from(self.at(offset, size)?).ok()
    }
}

/// Reads an ELF header (<https://gabi.xinuos.com/elf/02-eheader.html>).
#[must_use]
pub(crate) fn elf(bytes: &[u8]) -> Option<Elf> {
    if !bytes.starts_with(b"\x7fELF") {
        return None;
    }
    let wide = match bytes.get(4)? {
        1 => false,
        2 => true,
        _ => return None,
    };
    let big = match bytes.get(5)? {
        1 => false,
        2 => true,
        _ => return None,
    };
    let numbers = Numbers { bytes, big };
    let kind = numbers.at(16, 2)?;
    let number = u16::try_from(numbers.at(18, 2)?).ok()?;
    Some(Elf {
        machine: Machine { number, bits: if wide { 64 } else { 32 } },
        // ET_EXEC, ET_DYN.
        loadable: kind == 2 || kind == 3,
        loader: loader(&numbers, wide).unwrap_or(Loader::Unknown),
    })
}

/// Finds PT_INTERP among the program headers (<https://gabi.xinuos.com/elf/07-pheader.html>); `None` when the bytes do
/// not include all of them.
fn loader(numbers: &Numbers<'_>, wide: bool) -> Option<Loader> {
    let (table, size, count) = if wide {
        (numbers.place(32, 8)?, numbers.place(54, 2)?, numbers.place(56, 2)?)
    } else {
        (numbers.place(28, 4)?, numbers.place(42, 2)?, numbers.place(44, 2)?)
    };
    for index in 0..count {
        let at = table.checked_add(index.checked_mul(size)?)?;
        if numbers.at(at, 4)? != 3 {
            continue;
        }
        let field = |of_wide, of_narrow| {
            let (offset, size) = if wide { (of_wide, 8) } else { (of_narrow, 4) };
            numbers.place(at.checked_add(offset)?, size)
        };
        return Some(Loader::At { offset: field(8, 4)?, size: field(32, 16)? });
    }
    Some(Loader::None)
}

/// The loader's name, if the bytes include it.
#[must_use]
pub(crate) fn loader_name(bytes: &[u8], offset: usize, size: usize) -> Option<String> {
    let name = bytes.get(offset..offset.checked_add(size)?)?;
    let name = name.split(|b| *b == 0).next().unwrap_or_default();
    (!name.is_empty()).then(|| String::from_utf8_lossy(name).into_owned())
}

/// Reads a `#!` line as the kernel does (fs/binfmt_script.c): it trims blanks but not a carriage return, and everything
/// after the first word is one argument. `None` where the kernel fails with ENOEXEC.
#[must_use]
pub(crate) fn shebang(bytes: &[u8]) -> Option<Shebang> {
    let seen = bytes.get(..KERNEL_READS.min(bytes.len()))?.strip_prefix(b"#!")?;
    let end = seen.iter().position(|b| *b == b'\n');
    let blank = |b: &u8| *b == b' ' || *b == b'\t';
    let line = &seen[..end.unwrap_or(seen.len())];
    let line = &line[line.iter().take_while(|b| blank(b)).count()..];
    let line = &line[..line.len() - line.iter().rev().take_while(|b| blank(b)).count()];
    let first = line.iter().position(|b| blank(b) || *b == 0);
    // The kernel does not execute a truncated name.
    let cut = end.is_none() && bytes.len() >= KERNEL_READS && first.is_none();
    let name = &line[..first.unwrap_or(line.len())];
    if name.is_empty() || cut {
        return None;
    }
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let rest = text(&line[name.len()..]);
    let argument = rest.trim_matches([' ', '\t', '\0']);
    Some(Shebang {
        interpreter: text(name),
        argument: (!argument.is_empty()).then(|| argument.to_owned()),
        crlf: line.ends_with(b"\r"),
    })
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A program with its loader's name at an offset.
    pub(crate) fn program(machine: Machine, interpreter: Option<&str>, at: usize) -> Vec<u8> {
        let wide = machine.bits == 64;
        let (table, size) = if wide { (64, 56) } else { (52, 32) };
        let mut bytes = vec![0; (table + 2 * size).max(at)];
        bytes[..7].copy_from_slice(&[0x7f, b'E', b'L', b'F', if wide { 2 } else { 1 }, 1, 1]);
        let mut put = |at: usize, number: usize, size: usize| {
            bytes[at..at + size].copy_from_slice(&number.to_le_bytes()[..size]);
        };
        put(16, 2, 2);
        put(18, machine.number.into(), 2);
        put(if wide { 32 } else { 28 }, table, 4);
        put(if wide { 54 } else { 42 }, size, 2);
        put(if wide { 56 } else { 44 }, 2, 2);
        // The first header describes the program headers themselves.
        put(table, 6, 4);
        if let Some(name) = interpreter {
            put(table + size, 3, 4);
            put(table + size + if wide { 8 } else { 4 }, at, 4);
            put(table + size + if wide { 32 } else { 16 }, name.len() + 1, 4);
            bytes.extend(name.bytes());
            bytes.push(0);
        }
        bytes
    }

    #[test]
    fn headers_of_32_and_64_bits() {
        for machine in
            [Machine::AMD64, Machine::ARM64, Machine { number: 40, bits: 32 }, Machine { number: 3, bits: 32 }]
        {
            let dynamic = program(machine, Some("/lib/ld.so"), 300);
            let Some(Elf { machine: found, loadable: true, loader: Loader::At { offset, size } }) = elf(&dynamic)
            else {
                panic!("{machine}")
            };
            assert_eq!((found, offset, size), (machine, 300, 11));
            assert_eq!(loader_name(&dynamic, offset, size).as_deref(), Some("/lib/ld.so"));
            assert_eq!(loader_name(&dynamic[..305], offset, size), None);
            let fixed = program(machine, None, 300);
            assert_eq!(elf(&fixed).map(|e| e.loader), Some(Loader::None));
            assert_eq!(elf(&fixed[..60]).map(|e| e.loader), Some(Loader::Unknown), "{machine}");
        }
    }

    #[test]
    fn header_in_big_endian() {
        let mut bytes = program(Machine { number: 0, bits: 64 }, None, 0);
        bytes[5] = 2;
        bytes[16..20].copy_from_slice(&[0, 3, 0, 22]);
        let found = elf(&bytes).expect("a header");
        assert_eq!((found.machine, found.loadable), (Machine { number: 22, bits: 64 }, true));
    }

    #[test]
    fn this_test_program_is_read() {
        let own = std::fs::read(std::env::current_exe().expect("a path")).expect("readable");
        let found = elf(&own[..HEAD]).expect("a header");
        assert_eq!(found.machine.is("amd64"), cfg!(target_arch = "x86_64"));
        if let Loader::At { offset, size } = found.loader {
            assert!(loader_name(&own, offset, size).expect("a name").starts_with('/'));
        }
    }

    #[test]
    fn shebangs_are_read_as_by_the_kernel() {
        let line = |text: &str| shebang(text.as_bytes()).map(|s| (s.interpreter, s.argument, s.crlf));
        let found =
            |name: &str, argument: Option<&str>, crlf| Some((name.to_owned(), argument.map(str::to_owned), crlf));
        for (text, expected) in [
            ("#!/bin/sh\necho", found("/bin/sh", None, false)),
            ("#!/bin/sh", found("/bin/sh", None, false)),
            ("#! \t/bin/sh  \n", found("/bin/sh", None, false)),
            ("#!/bin/sh\r\necho\r\n", found("/bin/sh\r", None, true)),
            ("#!/bin/sh -e\r\n", found("/bin/sh", Some("-e\r"), true)),
            ("#!/usr/bin/env python3\n", found("/usr/bin/env", Some("python3"), false)),
            ("#!/usr/bin/env -S python3 -u\n", found("/usr/bin/env", Some("-S python3 -u"), false)),
            ("#!\n", None),
            ("#!  \n/bin/sh", None),
            ("echo\n#!/bin/sh\n", None),
            ("\u{feff}#!/bin/sh\n", None),
            (" #!/bin/sh\n", None),
            ("", None),
        ] {
            assert_eq!(line(text), expected, "{text:?}");
        }
        assert_eq!(line(&format!("#!/{}\n", "x".repeat(300))), None, "longer than the kernel reads");
        let cut = line(&format!("#!/bin/sh {}\n", "x".repeat(300))).expect("an interpreter");
        assert_eq!((cut.0.as_str(), cut.1.map(|a| a.len())), ("/bin/sh", Some(256 - 10)));
    }

    #[test]
    fn formats_are_told_apart() {
        assert!(matches!(head(b"\xcf\xfa\xed\xfe\x07\0\0\x01"), Head::Alien("a program for macOS")));
        assert!(matches!(head(b"MZ\x90\0"), Head::Alien("a program for Windows")));
        assert!(matches!(head(b"\x01\0"), Head::Alien(_)));
        assert!(matches!(head(b""), Head::Text { shebang: None, .. }));
        let Head::Text { first_line, shebang: None } = head("\u{feff}#!/bin/sh\r\nx".as_bytes()) else {
            panic!("text without a line that the kernel sees")
        };
        assert_eq!(first_line, "\u{feff}#!/bin/sh\r");
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_do_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            let _ = head(&bytes);
        }

        #[test]
        fn corrupt_header_does_not_panic(changes in prop::collection::vec((4usize..180, any::<u8>()), 0..8), cut in 0usize..400) {
            let mut bytes = program(Machine::AMD64, Some("/lib64/ld-linux-x86-64.so.2"), 300);
            for (at, byte) in changes {
                bytes[at] = byte;
            }
            bytes.truncate(cut);
            if let Some(Elf { loader: Loader::At { offset, size }, .. }) = elf(&bytes) {
                let _ = loader_name(&bytes, offset, size);
            }
        }

        #[test]
        fn arbitrary_shebang_does_not_panic(line in "#![ \t\r\na-z/\0-]{0,300}") {
            if let Some(found) = shebang(line.as_bytes()) {
                prop_assert!(!found.interpreter.is_empty());
            }
        }
    }
}
