//! Rules about the program's own output.

use super::{Basis, DEVELOP, Rule, Seen, VPC, fixes};

const ENVIRONMENT: &str = "https://docs.aws.amazon.com/apprunner/latest/dg/env-variable.html";
const IMAGE_SETTINGS: &str = "https://docs.aws.amazon.com/apprunner/latest/api/API_ImageConfiguration.html";
const ROLES: &str = "https://docs.aws.amazon.com/apprunner/latest/dg/security_iam_service-with-iam.html";

/// A rule based on the log alone.
const fn says(id: &'static str, seen: &'static [Seen], text: &'static str, fix: &'static str) -> Rule {
    Rule { id, basis: Basis::Log, seen, unless: &[], also: &[], text, fix, reference: DEVELOP, alone: false }
}

/// A port that only root may open.
const LOW_PORT: Seen = Seen::Line(&[
    r"(?i)\b(?:bind|listen)\b.*(?:permission denied|EACCES)",
    r"(?i)permission denied.*\b(?:bind|listen)",
    r"(?i)attempting to bind on address .*permission denied",
]);
/// An attribute of a settings object.
const OF_SETTINGS: Seen = Seen::Line(&[
    r"AttributeError: '(?P<object>\w*(?:[Ss]ettings|[Cc]onfig)\w*)' object has no attribute '(?P<attribute>\w+)'",
]);

/// A database that was reached and refused the credentials.
const REFUSED_CREDENTIALS: Seen = Seen::Line(&[
    r#"password authentication failed for user|no password supplied|Access denied for user|Login failed for user"#,
    r"(?i)SASL[: ]+.*(?:failed|must be)|\bWRONGPASS\b|\bNOAUTH\b|MongoServerError: Authentication failed",
    r"\b28P01\b|no pg_hba\.conf entry",
]);
/// A database server that was reached and lacks the database.
const NO_DATABASE: Seen =
    Seen::Line(&[r#"database "(?P<database>[^"]+)" does not exist"#, "Unknown database '(?P<database>[^']+)'"]);

/// The rules, most certain first.
pub(super) const RULES: &[Rule] = &[
    Rule {
        reference: "https://docs.docker.com/build/building/multi-platform/",
        ..says(
            "exec-format-error",
            &[Seen::Line(&["(?i)exec format error"])],
            "The kernel could not execute the image's program: it is built for another architecture, or a script has no \
             `#!` line.",
            "Build for linux/amd64 (`docker buildx build --platform linux/amd64 …`) and give scripts a `#!` line.",
        )
    },
    says(
        "crlf-shebang",
        &[Seen::Line(&[r"\\r['’]?: ", r"\$'\\r'", r"\^M: bad interpreter", r"env: .+\\r"])],
        "A script has Windows line ends: the carriage return becomes a part of a program's name.",
        "Give it Unix line ends: `*.sh text eol=lf` in .gitattributes, and `RUN sed -i 's/\\r$//' …` in the Dockerfile.",
    ),
    Rule {
        unless: &[Seen::Line(&[r"unix[: ]|\.sock\b"])],
        ..says(
            "privileged-port",
            &[LOW_PORT],
            "The program may not listen on a port below 1024: it does not run as root, and the platform keeps these ports for \
         root. A local Docker opens them to everybody.",
            fixes::HIGH_PORT,
        )
    },
    Rule {
        unless: &[Seen::Line(&[r"(?i)\bconnect(?:ing|ion)?\b.*(?:EADDRNOTAVAIL|cannot assign requested)"])],
        reference: "https://github.com/vercel/next.js/issues/49777",
        ..says(
            "bind-host-name",
            &[Seen::Line(&[
                r"EADDRNOTAVAIL(?:: address not available)? (?P<bound>\S+)",
                "(?i)EADDRNOTAVAIL|cannot assign requested address",
            ])],
            "The program binds an address[, {bound},] that no interface of the container has: the one that HOSTNAME \
             resolves to, or one of IPv6 where there is none.",
            fixes::BIND_ALL,
        )
    },
    says(
        "port-in-use",
        &[Seen::Line(&["(?i)EADDRINUSE|address already in use"])],
        "The program opens a port that another process of the same container has open already.",
        "Start one server in the container, or give each a port of its own.",
    ),
    Rule {
        reference: IMAGE_SETTINGS,
        ..says(
            "start-command-split",
            &[Seen::Line(&[
                r#"(?i)(?:unrecogni[sz]ed|unexpected|unknown|extra|invalid|illegal|too many)[ \w]*(?:arguments?|options?|operands?|commands?|choice)\b.*[:\s]['"]?(?P<word>&&|\|\||;|exec)['"]?(?:\s|$)"#,
                r"(?i)^[^/]*: \d+: .*(?P<word>unterminated quoted string)",
                r#"(?i)-c: (?:line \d+: )?(?P<word>unexpected EOF while looking for matching|syntax error near unexpected token `(?:&&|\|\||;)')"#,
            ])],
            "The start command is not read by a shell: it is split at white space, quotes stay in the words, and `&&`, `;` \
             or `exec` reach the program as arguments (seen: `{word}`).",
            "Put the commands into a script in the image and start that (`StartCommand: /app/start.sh`), or leave the \
             service's start command out so that the Dockerfile's CMD counts.",
        )
    },
    says(
        "missing-program",
        &[
            Seen::Code(&[127]),
            Seen::Line(&[
                r#"exec: "(?P<program>[^"]+)": executable file not found"#,
                r"(?P<program>\S+): (?:command )?not found",
                r"exec:? (?P<program>\S+): no such file",
                r"(?P<program>\S+): No such file or directory",
            ]),
        ],
        "The command names `{program}`, which is not in the image or not on its PATH.",
        "Install it in the image, or write the path that it has there.",
    ),
    says(
        "not-executable",
        &[Seen::Code(&[126]), Seen::Line(&["(?i)(?P<program>[^ :]+): permission denied"])],
        "`{program}` is executed, and its mode does not allow that.",
        "`RUN chmod +x …` or `COPY --chmod=755 …` in the Dockerfile; a laptop's bind mount hides it.",
    ),
    Rule {
        reference: ENVIRONMENT,
        ..says(
            "settings-validation",
            &[Seen::Fields],
            "The settings are validated when they are loaded, and {fields} did not pass: missing, empty or malformed[ ({where})].",
            fixes::SET_VARIABLE,
        )
    },
    Rule {
        reference: ENVIRONMENT,
        ..says(
            "settings-attribute-case",
            &[OF_SETTINGS],
            "The code reads `{attribute}` of the settings object `{object}`, which has no field of that name[ ({where})]; \
             names of fields are case-sensitive.",
            "Use the field's own name (the field `DATABASE_URL` is `settings.DATABASE_URL`), and run the same branch in a \
             test with the production value of the variable that switches it on.",
        )
    },
    Rule {
        unless: &[OF_SETTINGS],
        ..says(
            "missing-attribute",
            &[Seen::Line(&[
                r"AttributeError: (?:(?:partially initialized )?module )?'(?P<object>[^']+)'(?: object)? has no attribute '(?P<attribute>[^']+)'",
            ])],
            "The code reads the attribute `{attribute}` of `{object}`, which has none of that name[ ({where})].",
            "A plain mistake that the laptop hides: compare the files in the image with the checkout (a bind mount, a .dockerignore, \
         another version of a package).",
        )
    },
    Rule {
        reference: ENVIRONMENT,
        ..says(
            "missing-variable",
            &[
                Seen::Exited,
                Seen::Line(&[
                    r#"KeyError: ['"](?P<variable>[A-Z][A-Z0-9_]{2,})['"]"#,
                    r#"key not found: "(?P<variable>[A-Z][A-Z0-9_]{2,})""#,
                    r"required key (?P<variable>[A-Z][A-Z0-9_]{2,}) missing value",
                    r"Could not resolve placeholder '(?P<variable>[^':]+)'",
                    r"(?P<variable>[A-Z][A-Z0-9_]{2,}): (?:parameter (?:null or )?not set|unbound variable)",
                    r"(?P<variable>[A-Z][A-Z0-9_]{2,})\b.*(?:\bNotPresent\b|environment variable not found)",
                    r"ArgumentNullException: .*\(Parameter '(?P<variable>[A-Z][A-Z0-9_]{2,})'\)",
                    r#"(?i:environment variable)s?:? [`'"]?(?P<variable>[A-Z][A-Z0-9_]{2,})\b[`'"]?.*(?i:not (?:set|found|defined|present|configured)|missing|required|must be|empty|undefined)"#,
                    r#"(?P<variable>[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)[`'"]?:?,? (?i:(?:environment variable )?(?:(?:is|was|are|has) )?(?:not (?:been )?(?:set|defined|provided|found|configured)|missing|required|undefined|unset|(?:must not be )?empty|must be set\b))"#,
                    r#"(?i:missing|set the|undefined|unset)\b[^A-Z={]{0,40}(?P<variable>[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)"#,
                    r#"(?i:requires?|needs?) (?i:the )?(?i:environment )?(?i:variable )?[`'"]?(?P<variable>[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)"#,
                    r"The (?P<variable>[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+) setting must not be empty",
                ]),
            ],
            "The program needs the variable `{variable}` when it starts, and it is missing or empty[ ({where})].",
            fixes::SET_VARIABLE,
        )
    },
    says(
        "database-url",
        &[Seen::Line(&[
            r"Could not parse (?:SQLAlchemy|rfc1738) URL",
            r#"invalid (?:dsn|connection option|URI query parameter)|missing "=" after|Invalid connection string"#,
            r"(?i)error validating datasource|the URL must start with the protocol",
        ])],
        "The database's URL cannot be read[ ({where})]: the value is empty, has quotes or a line break around it, or is a \
         whole JSON document.",
        "Look at the value as the container gets it: a secret that holds JSON arrives as JSON (add `:KEY::` to its ARN), \
         and what is typed with quotes keeps them.",
    ),
    says(
        "malformed-value",
        &[Seen::Line(&[
            r"invalid literal for int\(\)|could not convert string to (?:int|float)",
            r"JSONDecodeError|ERR_INVALID_URL|NumberFormatException|ParseIntError|invalid digit found in string",
            r"(?i)invalid (?:url|port|uri)\b",
        ])],
        "A value that the program reads when it starts is not what it should be: `{said}`[ ({where})].",
        "Look at the value as the container gets it: quotes that were typed are a part of it, a secret that was made with \
         `echo` ends with a line break, a secret that holds JSON arrives as JSON.",
    ),
    Rule {
        // A module that exists but cannot be loaded is a different mistake; the crash itself says so.
        unless: &[Seen::Line(&["partially initialized module|circular import|attempted relative import"])],
        ..says(
            "missing-dependency",
            &[Seen::Line(&[
                r"ModuleNotFoundError: No module named '(?P<module>[^']+)'",
                r"ImportError: cannot import name '(?P<module>[^']+)'",
                r"Cannot find (?:module|package) '(?P<module>[^']+)'",
                r"(?P<module>[^ :]+): cannot open shared object file",
                r"cannot load such file -- (?P<module>\S+)",
                r"(?:ClassNotFoundException|NoClassDefFoundError): (?P<module>\S+)",
                r"Could not find or load main class (?P<module>\S+)",
                r"Could not load file or assembly '(?P<module>[^',]+)",
                r#"Failed opening required '(?P<module>[^']+)'|Class "(?P<class>[^"]+)" not found"#,
                r"ImportError: (?P<module>.+)",
            ])],
            "A module or library that the program needs is not in the image[: `{module}`][ ({where})].",
            "Install it in the image, not only on the laptop: a bind mount or a development dependency hides it locally.",
        )
    },
    Rule {
        also: &[Seen::Connect(&[])],
        ..says(
            "database-credentials",
            &[REFUSED_CREDENTIALS],
            "The database was reached and refused the credentials[ ({where})].",
            "Compare the secret with the database: a password that was rotated reaches the service only with a new \
             deployment ({redeploy}), since secrets are read when it begins.",
        )
    },
    says(
        "database-missing",
        &[NO_DATABASE],
        "The database server was reached, and it has no database `{database}`.",
        "Create it, or correct the name in the URL: a line break or a quote at the URL's end becomes a part of the name.",
    ),
    says(
        "migration-failed",
        &[Seen::Line(&[
            r"(?i)(?:can't locate revision|multiple head revisions|migrations? failed|failed to (?:apply|run) (?:the )?migration|\bP3009\b|\bP3018\b)",
            r#"(?i)relation "[^"]+" (?:does not exist|already exists)|\b(?:DuplicateTable|UndefinedTable|UndefinedColumn)\b|no such table"#,
        ])],
        "A migration, or the first query behind it, fails against the schema that the database has: `{said}`.",
        "Run migrations as a step of their own before the deployment, and let the new version start against the old schema: \
         instances of both run side by side while a deployment goes on.",
    ),
    Rule {
        // An error from the server itself shows that it was reached.
        unless: &[REFUSED_CREDENTIALS, NO_DATABASE, Seen::Line(&["failed: (?:FATAL|ERROR):"])],
        also: &[Seen::Connect(&[])],
        reference: VPC,
        ..says(
            "database-unreachable",
            &[Seen::Line(&[
                r#"(?:failed to resolve host|could not translate host name) ['"](?P<unresolved>[^'"]+)"#,
                r#"connection to server at "(?P<database>[^"]+)".*failed"#,
                r#"could not (?:connect to server|translate host name "(?P<database>[^"]+)")"#,
                r"Can't connect to (?:local )?(?:MySQL|server).*'(?P<database>[^']+)'",
                r"(?i)OperationalError\b.*(?:connect|timeout|timed out|refused|resolve|unreachable)",
                r"(?i)connection timeout expired|Communications link failure|PG::ConnectionBad|MongoServerSelectionError|SequelizeConnection\w+|PSQLException.*(?:refused|failed)",
                r"ECONNREFUSED .*:(?:5432|3306|6379|27017|1433)\b|ETIMEDOUT .*:(?:5432|3306|6379|27017|1433)\b",
                r"(?i)(?:Error|Exception)[^:]*: .*connecting to (?P<database>\S+:(?:5432|3306|6379|27017|1433))\b|redis\.exceptions\.(?:Connection|Timeout)Error|P1001: Can't reach database server",
                r"(?i)dial tcp \S*:(?:5432|3306|6379|27017|1433)\b",
            ])],
            "The database could not be reached while the program starts[ ({where})][; its name, {unresolved}, \
             could not be resolved][; its connection to {host}:{target_port} failed: {fate}].",
            fixes::DATABASE_LATER,
        )
    },
    Rule {
        reference: ROLES,
        ..says(
            "aws-credentials",
            &[Seen::Line(&[
                r"(?i)unable to (?:locate|load) (?:aws )?credentials|NoCredentialsError|could not load credentials from any providers",
                r"CredentialsProviderError|NoCredentialProviders|no EC2 IMDS role found|failed to refresh cached credentials",
                r"InvalidClientTokenId|security token included in the request is (?:invalid|expired)|PartialCredentialsError",
            ])],
            "The program asks AWS for something when it starts, and it has no credentials[ ({where})].",
            "Give the service {role}: the \
             access role of the image repository is another one. Do not need AWS to start.",
        )
    },
    says(
        "aws-region",
        &[Seen::Line(&[
            r"NoRegionError|(?i)you must specify a region|region is missing|missing region in config|MissingRegion|unable to find a region",
        ])],
        "The AWS SDK does not know which region to ask[ ({where})].",
        "Set AWS_REGION and AWS_DEFAULT_REGION in the service's variables, or name the region in the code.",
    ),
    Rule {
        reference: ROLES,
        ..says(
            "aws-denied",
            &[Seen::Line(&[r"not authorized to perform: (?P<action>[\w:*]+)", "AccessDenied(?:Exception)?"])],
            "AWS refused what the program asked of it when it starts[: {action}][ ({where})].",
            "Add the permission to the service's instance role, not to the access role of the image repository.",
        )
    },
    says(
        "certificate",
        &[Seen::Line(&[
            r"(?i)CERTIFICATE_VERIFY_FAILED|unable to get (?:local )?issuer certificate|signed by unknown authority|PKIX path building failed|UNABLE_TO_VERIFY_LEAF_SIGNATURE",
        ])],
        "A TLS certificate could not be verified: the image has no certificate authorities, or others than the server needs.",
        "Install them in the image (`apt-get install ca-certificates`, `apk add ca-certificates`).",
    ),
    says(
        "heap-out-of-memory",
        &[Seen::Line(&[
            r"(?i)\bMemoryError\b|heap out of memory|java\.lang\.OutOfMemoryError|runtime: out of memory|cannot allocate memory|bad_alloc|allowed memory size of",
        ])],
        "The program ran out of memory before the kernel had to end it.",
        "Give the instance more memory ({more_memory}), start fewer workers, or raise the runtime's own limit (`--max-old-space-size`, `-Xmx`).",
    ),
    Rule {
        unless: &[Seen::Line(&["file watchers"])],
        ..says(
            "disk-full",
            &[Seen::Line(&["(?i)ENOSPC|no space left on device"])],
            "The disk is full: an instance has 3 GB, the image included.",
            "Write less when the program starts, to S3 or a database, or make the image smaller.",
        )
    },
    says(
        "read-only-files",
        &[Seen::Line(&["(?i)EROFS|read-only file system"])],
        "The program writes where it cannot.",
        "Write to a folder that has a volume mounted on it (a tmpfs on /tmp will do for temporary files); where the root file \
         system is writable, any folder that belongs to the program's user will do.",
    ),
    says(
        "too-many-files",
        &[Seen::Line(&["(?i)EMFILE|too many open files"])],
        "The program opens more files and connections than a process may.",
        fixes::FEWER_FILES,
    ),
    says(
        "host-check",
        &[
            Seen::NeverHealthy,
            Seen::Line(&[r"(?i)DisallowedHost|invalid http_host header|invalid host header|blocked host:?"]),
        ],
        "The framework refuses the probe for its Host header, which is an address and not the service's name.",
        "Allow every host on the health check's route (Django: ALLOWED_HOSTS, or a middleware that answers the route before \
         the check), or use the TCP check.",
    ),
    Rule {
        unless: &[LOW_PORT],
        ..says(
            "file-permission",
            &[Seen::Line(&[
                r#"(?i)permission denied:?,? (?:open |mkdir )?['"](?P<path_denied>[^'"]+)['"]"#,
                "PermissionError|EACCES",
            ])],
            "The program may not open a file[, {path_denied}][ ({where})]: it does not run as the user who owns it.",
            "Give it to the image's USER (`COPY --chown=…`), or write to /tmp; a local run as root hides it.",
        )
    },
    says(
        "missing-file",
        &[Seen::Line(&[
            r#"(?:FileNotFoundError|No such file or directory|ENOENT)\b.*['"](?P<path_missing>[^'"]+)['"]"#,
            r"open (?P<path_missing>/\S+): no such file",
        ])],
        "The program reads a file that is not in the image: {path_missing}[ ({where})].",
        "Copy it in the Dockerfile, and look at .dockerignore: locally a bind mount provides it.",
    ),
    Rule {
        alone: true,
        ..says(
            "refuses-root",
            &[
                Seen::Exited,
                Seen::Line(&[
                    r"(?i)running as (?:the )?root\b.*(?:not (?:recommended|allowed|permitted|supported)|refus)",
                    r"(?i)(?:refus\w+|must not|cannot|can't|don't|do not|should not|shouldn't|not permitted).{0,40}\b(?:as|by) (?:the )?(?:root|superuser)\b",
                    r#"(?i)"root" execution .* is not permitted"#,
                ]),
            ],
            "The program refuses to run as root, and the image has no other USER.",
            "Create a user in the Dockerfile (`RUN useradd app`, `USER app`), or give the program the option that its log \
             names.",
        )
    },
    Rule {
        alone: true,
        ..says(
            "missing-extra",
            &[
                Seen::Exited,
                Seen::Line(&[
                    r"`(?P<install>(?:pip3?|npm|yarn|gem|bundle|apt-get|apk) (?:install|add) [^`]+)`",
                    r#"(?i)(?:run|try|use|using|with|via):? ['"]?(?P<install>(?:pip3?|npm|gem) install [^\s'"]+)"#,
                ]),
            ],
            "The program needs a package that is not in the image, and says how to install it.",
            "Install it in the image: `RUN {install}`.",
        )
    },
];
