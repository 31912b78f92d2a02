//! What can be typed after `serve`, or after nothing.

use std::ffi::OsString;

use super::MonitoringArgs;

/// The flags of `serve`, as typed. The texts are the help: by hand, since each setting is looked up by [`Config::new`](super::Config::new).
#[derive(Clone, Debug, Default, clap::Args)]
pub struct ServeArgs {
    /// Where to listen; port 0 takes a free one, [::] means IPv6 and IPv4
    /// [env: BIND_ADDR] [default: 127.0.0.1:3000]
    #[arg(long, value_name = "HOST:PORT", help_heading = "Server", verbatim_doc_comment)]
    pub bind: Option<OsString>,
    /// The database file: a path, or sqlite:PATH
    /// [env: DATABASE_URL] [default: octostore.db]
    #[arg(long, value_name = "PATH", help_heading = "Server", verbatim_doc_comment)]
    pub database: Option<OsString>,
    /// Worker threads, 1 to 64; by default one per core this process may use
    /// [env: OCTOSTORE_WORKERS]
    #[arg(long, value_name = "N", help_heading = "Server", verbatim_doc_comment)]
    pub workers: Option<OsString>,
    /// How to do network I/O: io-uring, epoll, or auto (io-uring if allowed)
    /// [env: OCTOSTORE_DRIVER] [default: auto]
    #[arg(long, value_name = "DRIVER", help_heading = "Server", verbatim_doc_comment)]
    pub driver: Option<OsString>,

    /// A file with one name:token a line, which only its owner may read;
    /// STATIC_TOKENS=name:token,name:token,... in the environment adds to it;
    /// with neither, the first start makes a user `local` and shows its token
    /// [env: STATIC_TOKENS_FILE]
    #[arg(long, value_name = "FILE", help_heading = "Users", verbatim_doc_comment)]
    pub static_tokens_file: Option<OsString>,
    /// The most locks that one user may hold at a time, 1 to 1000000000
    /// [env: MAX_LOCKS_PER_USER] [default: 100]
    #[arg(long, value_name = "N", help_heading = "Users", verbatim_doc_comment)]
    pub max_locks_per_user: Option<OsString>,
    /// Whose X-Forwarded-For header is believed when failed authentications
    /// are counted per address: IP addresses of proxies, with commas between
    /// [env: OCTOSTORE_TRUSTED_PROXY]
    #[arg(long, value_name = "ADDRESS", help_heading = "Users", verbatim_doc_comment)]
    pub trusted_proxy: Option<OsString>,

    /// The client id of an OAuth app at GitHub, so that users can sign in at
    /// /auth/github; its secret comes from GITHUB_CLIENT_SECRET alone
    /// [env: GITHUB_CLIENT_ID]
    #[arg(long, value_name = "ID", help_heading = "Sign-in with GitHub", verbatim_doc_comment)]
    pub github_client_id: Option<OsString>,
    /// Where GitHub sends browsers to: https://HOST/auth/github/callback;
    /// without it, GitHub takes the URL that the OAuth app has
    /// [env: GITHUB_REDIRECT_URI]
    #[arg(long, value_name = "URL", help_heading = "Sign-in with GitHub", verbatim_doc_comment)]
    pub github_redirect_uri: Option<OsString>,
    /// GitHub itself, or a GitHub Enterprise Server
    /// [env: GITHUB_URL] [default: https://github.com]
    #[arg(long, value_name = "URL", help_heading = "Sign-in with GitHub", verbatim_doc_comment)]
    pub github_url: Option<OsString>,
    /// Its API; of an Enterprise Server https://HOST/api/v3
    /// [env: GITHUB_API_URL] [default: https://api.github.com]
    #[arg(long, value_name = "URL", help_heading = "Sign-in with GitHub", verbatim_doc_comment)]
    pub github_api_url: Option<OsString>,

    /// The most open connections, over all workers, 1 to 1000000
    /// [env: OCTOSTORE_MAX_CONNECTIONS] [default: 10000]
    #[arg(long, value_name = "N", help_heading = "Connections", verbatim_doc_comment)]
    pub max_connections: Option<OsString>,
    /// The most open connections of one address (of IPv6: one /64); 0 means
    /// no limit. Behind a proxy all clients have its address
    /// [env: OCTOSTORE_MAX_CONNECTIONS_PER_ADDRESS] [default: 0]
    #[arg(long, value_name = "N", help_heading = "Connections", verbatim_doc_comment)]
    pub max_connections_per_address: Option<OsString>,
    /// How long the head of a request may take, from its first byte
    /// [env: OCTOSTORE_HEAD_TIMEOUT_SECONDS] [default: 10]
    #[arg(long, value_name = "SECONDS", help_heading = "Connections", verbatim_doc_comment)]
    pub head_timeout: Option<OsString>,
    /// How long the body of a request may take, from the end of the head
    /// [env: OCTOSTORE_BODY_TIMEOUT_SECONDS] [default: 10]
    #[arg(long, value_name = "SECONDS", help_heading = "Connections", verbatim_doc_comment)]
    pub body_timeout: Option<OsString>,
    /// How long a connection may stay open without a request
    /// [env: OCTOSTORE_IDLE_TIMEOUT_SECONDS] [default: 75]
    #[arg(long, value_name = "SECONDS", help_heading = "Connections", verbatim_doc_comment)]
    pub idle_timeout: Option<OsString>,
    /// How long a client may take to read what was answered
    /// [env: OCTOSTORE_WRITE_TIMEOUT_SECONDS] [default: 10]
    #[arg(long, value_name = "SECONDS", help_heading = "Connections", verbatim_doc_comment)]
    pub write_timeout: Option<OsString>,

    /// What watches the server.
    #[command(flatten)]
    pub monitoring: MonitoringArgs,

    /// How log lines look on stderr: text or json
    /// [env: OCTOSTORE_LOG_FORMAT] [default: text]
    #[arg(long, value_name = "FORMAT", help_heading = "Log", verbatim_doc_comment)]
    pub log_format: Option<OsString>,
    /// What is logged: off, error, warn, info, debug, trace, or directives
    /// such as warn,octostore::journal=debug
    /// [env: OCTOSTORE_LOG] [default: info]
    #[arg(long, value_name = "LEVEL", help_heading = "Log", verbatim_doc_comment)]
    pub log_level: Option<OsString>,
}
