//! Fixes shared by several causes. The platform's profile supplies the words for `{…}`.

/// A missing variable.
pub(crate) const SET_VARIABLE: &str = "Set it in the service's configuration ({variables}).{whole_map}";
/// An address that the probe does not reach.
pub(crate) const BIND_ALL: &str = "Bind 0.0.0.0; where the framework reads HOSTNAME for it, set the bind address in the start \
                            command (`env HOSTNAME=0.0.0.0 node server.js`).";
/// A port below 1024.
pub(crate) const HIGH_PORT: &str =
    "Listen on PORT (8080 unless the service says otherwise), or leave out the image's USER.";
/// A database that cannot be reached.
pub(crate) const DATABASE_LATER: &str = "Let the program start without its database and connect with retries; there, give \
                                  {network} subnets and a security group that the database's own security group admits.";
/// A name that cannot be resolved.
pub(crate) const RESOLVE_LATER: &str = "Do not need the network to start: connect when the first request needs it, with a \
                                 time-out and retries. In a VPC, switch on DNS resolution and DNS hostnames (`aws ec2 \
                                 modify-vpc-attribute --enable-dns-support`).";
/// Too many open files.
pub(crate) const FEWER_FILES: &str = "Use smaller pools and fewer workers; the limit of the platform is not settable.";
