//! A real crash of each language, its parsed form, and texts that are not crashes.

use super::*;

struct Read {
    language: Language,
    said: &'static str,
    own: &'static str,
    importing: bool,
}

fn own(crash: &Crash) -> String {
    crash
        .own
        .as_ref()
        .map(|f| format!("{}:{} {}", f.file, f.line, f.function).trim_end().to_owned())
        .unwrap_or_default()
}

#[test]
fn reads_every_language() {
    for (log, expected) in [
        (
            "INFO: before\nTraceback (most recent call last):\n  File \"/usr/lib/python3.11/importlib/__init__.py\", line 126, in \
             import_module\n    return _bootstrap._gcd_import(name)\n  File \"/app/app/main.py\", line 7, in <module>\n    \
             client = Client()\n  File \"/opt/site/twilio/rest.py\", line 3, in __init__\n    self.check()\n\
             requests.exceptions.ConnectTimeout: HTTPSConnectionPool(host='a.b', port=443): timed out\nINFO: after\n",
            Read {
                language: Language::Python,
                said: "requests.exceptions.ConnectTimeout: HTTPSConnectionPool(host='a.b', port=443): timed out",
                own: "/app/app/main.py:7 <module>",
                importing: true,
            },
        ),
        (
            "node:internal/modules/cjs/loader:1078\n  throw err;\n  ^\n\nError: Cannot find module 'express'\nRequire \
             stack:\n- /app/server.js\n    at Module._resolveFilename (node:internal/modules/cjs/loader:1075:15)\n    at \
             Module._compile (node:internal/modules/cjs/loader:1256:14)\n    at Object.<anonymous> \
             (/app/server.js:3:17) {\n  code: 'MODULE_NOT_FOUND',\n",
            Read {
                language: Language::Node,
                said: "Error: Cannot find module 'express'",
                own: "/app/server.js:3 Object.<anonymous>",
                importing: true,
            },
        ),
        (
            "Uncaught TypeError [ERR_INVALID_URL]: Invalid URL\n    at new URL (node:internal/url:775:36)\n    at \
             file:///app/db.mjs:4:13\n",
            Read {
                language: Language::Node,
                said: "TypeError: ERR_INVALID_URL: Invalid URL",
                own: "/app/db.mjs:4",
                importing: false,
            },
        ),
        (
            "Exception in thread \"main\" org.springframework.beans.factory.BeanCreationException: Error creating \
             bean\n\tat org.springframework.boot.SpringApplication.run(SpringApplication.java:332)\n\tat \
             com.acme.Main.main(Main.java:9)\nCaused by: java.net.ConnectException: Connection refused\n\tat \
             java.base/sun.nio.ch.Net.pollConnect(Native Method)\n\tat com.acme.Db.open(Db.java:21)\n\t... 12 more\n",
            Read {
                language: Language::Java,
                said: "java.net.ConnectException: Connection refused",
                own: "Db.java:21 com.acme.Db.open",
                importing: false,
            },
        ),
        (
            "/app/config.rb:3:in `fetch': key not found: \"JWT_SECRET\" (KeyError)\n\tfrom /app/config.rb:3:in `<top \
             (required)>'\n\tfrom /usr/lib/ruby/3.1.0/kernel.rb:12:in `require'\n",
            Read {
                language: Language::Ruby,
                said: "KeyError: key not found: \"JWT_SECRET\"",
                own: "/app/config.rb:3 fetch",
                importing: true,
            },
        ),
        (
            "panic: dial tcp 10.0.0.1:5432: connect: connection refused\n\ngoroutine 1 [running]:\nmain.main()\n\t\
             /src/main.go:12 +0x1d\nexit status 2\n",
            Read {
                language: Language::Go,
                said: "panic: dial tcp 10.0.0.1:5432: connect: connection refused",
                own: "/src/main.go:12 main.main",
                importing: false,
            },
        ),
        (
            "thread 'main' (7) panicked at src/main.rs:5:43:\nJWT_SECRET: NotPresent\nnote: run with \
             `RUST_BACKTRACE=1`\n",
            Read {
                language: Language::Rust,
                said: "panic: JWT_SECRET: NotPresent",
                own: "src/main.rs:5",
                importing: false,
            },
        ),
        (
            "thread 'main' panicked at 'no port', src/main.rs:5:43\n",
            Read { language: Language::Rust, said: "panic: no port", own: "src/main.rs:5", importing: false },
        ),
        (
            "Unhandled exception. System.TypeInitializationException: The type initializer threw\n ---> \
             System.ArgumentNullException: Value cannot be null. (Parameter 'JWT_SECRET')\n   at Acme.Config..cctor() in \
             /src/Config.cs:line 8\n   --- End of inner exception stack trace ---\n   at System.Thread.Run()\n",
            Read {
                language: Language::DotNet,
                said: "System.ArgumentNullException: Value cannot be null. (Parameter 'JWT_SECRET')",
                own: "/src/Config.cs:8 Acme.Config..cctor()",
                importing: true,
            },
        ),
        (
            "PHP Fatal error:  Uncaught PDOException: SQLSTATE[HY000] [2002] Connection refused in \
             /app/index.php:12\nStack trace:\n#0 {main}\n  thrown in /app/index.php on line 12\n",
            Read {
                language: Language::Php,
                said: "PDOException: SQLSTATE[HY000] [2002] Connection refused",
                own: "/app/index.php:12",
                importing: false,
            },
        ),
        (
            "\nIn Connection.php line 829:\n\n  SQLSTATE[HY000] [2002] Connection refused\n  (SQL: select 1)\n\n\nIn \
             Connector.php line 70:\n\n  SQLSTATE[HY000] [2002]\n  Connection refused\n\n",
            Read {
                language: Language::Php,
                said: "SQLSTATE[HY000] [2002] Connection refused",
                own: "",
                importing: false,
            },
        ),
        (
            "org.acme.StartException: cannot start\n\tat org.acme.Main.main(Main.java:8)\nCaused by: \
             org.flywaydb.core.FlywayException: \nMigration V2 failed\n----------\nSQL State  : 42P01\n\n\tat \
             org.flywaydb.core.Flyway.migrate(Flyway.java:1)\n\t... 3 more\nCaused by: \
             org.postgresql.util.PSQLException: ERROR: no relation\n  Position: 13\n\tat \
             org.postgresql.core.Query.run(Query.java:2)\n\t... 9 more\n",
            Read {
                language: Language::Java,
                said: "org.postgresql.util.PSQLException: ERROR: no relation",
                own: "Main.java:8 org.acme.Main.main",
                importing: false,
            },
        ),
    ] {
        let crash = crash(log).unwrap_or_else(|| panic!("no crash in {log}"));
        assert_eq!(crash.language, expected.language, "{log}");
        let seen = (crash.said(), own(&crash), crash.importing);
        assert_eq!(seen, (expected.said.to_owned(), expected.own.to_owned(), expected.importing), "{log}");
    }
}

#[test]
fn last_crash_counts_with_the_place_of_its_first_part() {
    let log = "Traceback (most recent call last):\n  File \"/app/a.py\", line 1, in f\n    x\nKeyError: 'x'\n\nDuring \
               handling of the above exception, another exception occurred:\n\nTraceback (most recent call last):\n  File \
               \"/usr/lib/python3.11/b.py\", line 2, in g\n    y\nValueError: y\n";
    let crash = crash(log).expect("a crash");
    assert_eq!((crash.said().as_str(), own(&crash).as_str()), ("ValueError: y", "/app/a.py:1 f"));
    assert_eq!(crash.own.expect("a place").source, "x");
}

#[test]
fn ignores_texts_that_look_like_crashes() {
    for log in [
        "",
        "Traceback (most recent call last):\n",
        "INFO: at home (localhost:8000:1)\n    at\n",
        "panic: is what the user typed\n",
        "error in app.rb: nothing\n",
        "Caused by: a typo\n",
    ] {
        assert_eq!(crash(log), None, "{log}");
    }
}

/// Gunicorn's master ends with an error of its own when a second worker fails while it stops the others.
#[test]
fn worker_crash_takes_precedence_over_its_supervisor() {
    let halt = "Traceback (most recent call last):\n  File \"/usr/lib/python3/dist-packages/gunicorn/arbiter.py\", line \
                209, in run\n    self.sleep()\ngunicorn.errors.HaltServer: <HaltServer 'Worker failed to boot.' 3>\n";
    let worker = "Traceback (most recent call last):\n  File \"/app/settings.py\", line 3, in <module>\n    KEY = \
                  os.environ[\"KEY\"]\n  File \"<frozen os>\", line 679, in __getitem__\nKeyError: 'KEY'\n";
    let during = "\nDuring handling of the above exception, another exception occurred:\n\n";
    let read = crash(&format!("{worker}[7] [INFO] Worker exiting (pid: 7)\n{halt}{during}{halt}")).expect("a crash");
    assert_eq!((read.said().as_str(), own(&read).as_str()), ("KeyError: 'KEY'", "/app/settings.py:3 <module>"));
    let alone = crash(halt).expect("a crash");
    assert_eq!(alone.kind, "gunicorn.errors.HaltServer");
}

#[test]
fn what_was_being_handled_is_no_part_of_a_crash() {
    let part = |error: &str| {
        format!("Traceback (most recent call last):\n  File \"/app/a.py\", line 1, in f\n    f()\n{error}\n")
    };
    let begins = |between: &str| {
        let log = format!("{}\n{between}\n\n{}", part("PermissionError: no"), part("NotFound: no list"));
        let crash = crash(&log).expect("a crash");
        assert_eq!(crash.kind, "NotFound");
        crash.begins
    };
    assert_eq!(begins("During handling of the above exception, another exception occurred:"), 7);
    assert_eq!(begins("The above exception was the direct cause of the following exception:"), 0);
}
