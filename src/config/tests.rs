use std::os::unix::ffi::OsStringExt;

use clap::{CommandFactory, Parser};

use super::setting::{DATABASE_WANTED, SECONDS_WANTED};
use super::*;

/// The configuration for a command line and an environment.
fn config(line: &[&str], env: &[(&str, &str)]) -> Result<Config, String> {
    let args = Args::try_parse_from([&["octostore"], line].concat()).map_err(|e| e.to_string())?;
    let Command::Serve(serve) = args.command.unwrap_or(Command::Serve(args.serve)) else {
        panic!("{line:?} is another command");
    };
    let env = |wanted: &str| env.iter().find(|(name, _)| *name == wanted).map(|(_, value)| value.into());
    Config::new(&serve, &env).map_err(|e| e.to_string())
}

fn refusal(line: &[&str], env: &[(&str, &str)]) -> String {
    let text = config(line, env).unwrap_err();
    assert!(!text.contains('\n'), "{text:?} is more than one line");
    text
}

fn help() -> String {
    Args::command().render_long_help().to_string()
}

/// Every flag of `serve`, with its text in the help.
fn flags_in_help() -> Vec<(String, String)> {
    let command = Args::command();
    let flags = command.get_arguments().filter(|flag| flag.get_help_heading().is_some());
    flags.map(|flag| (format!("--{}", flag.get_long().unwrap()), flag.get_help().unwrap().to_string())).collect()
}

fn bracketed<'a>(paragraph: &'a str, kind: &str) -> Option<&'a str> {
    let (_, rest) = paragraph.split_once(&format!("[{kind}: "))?;
    rest.split_once(']').map(|(value, _)| value)
}

#[test]
fn with_nothing_said_the_defaults_hold() {
    let config = config(&[], &[]).unwrap();
    assert_eq!(config.bind, BindAddress { host: "127.0.0.1".into(), port: 3000 });
    assert_eq!(config.database, PathBuf::from("octostore.db"));
    assert!((1..=64).contains(&config.workers));
    assert_eq!(config.driver, Driver::Auto);
    assert_eq!(config.tokens, TokenSources::default());
    assert_eq!((config.max_locks_per_user, config.max_connections), (100, 10_000));
    assert_eq!(config.max_connections_per_address, 0);
    let Timeouts { head_timeout_ms, body_timeout_ms, idle_timeout_ms, write_timeout_ms } = config.timeouts;
    assert_eq!([head_timeout_ms, body_timeout_ms, idle_timeout_ms, write_timeout_ms], [10_000, 10_000, 75_000, 10_000]);
    assert_eq!(config.log, LogSettings { format: LogFormat::Text, filter: "info".into() });
}

#[test]
fn the_word_serve_may_be_left_out() {
    assert_eq!(config(&["serve", "--workers", "3"], &[]), config(&["--workers", "3"], &[]));
    assert_eq!(config(&["serve"], &[("BIND_ADDR", "[::1]:1")]), config(&[], &[("BIND_ADDR", "[::1]:1")]));
    assert!(config(&["--workers", "3", "serve"], &[]).is_err());
    assert!(config(&["sevre"], &[]).is_err());
}

#[test]
fn a_flag_wins_over_the_environment_and_an_empty_variable_is_no_variable() {
    let env =
        [("OCTOSTORE_WORKERS", "5"), ("MAX_LOCKS_PER_USER", ""), ("STATIC_TOKENS", ""), ("STATIC_TOKENS_FILE", "")];
    assert_eq!(config(&["--workers", "3"], &env).unwrap().workers, 3);
    let config = config(&[], &env).unwrap();
    assert_eq!((config.workers, config.max_locks_per_user), (5, 100));
    assert_eq!(config.tokens, TokenSources::default());
}

#[test]
fn an_empty_flag_is_a_mistake() {
    assert_eq!(
        refusal(&["--bind", ""], &[("BIND_ADDR", "[::1]:1")]),
        format!("--bind is ''; it must be {BIND_WANTED}")
    );
}

#[test]
fn the_help_fits_80_columns_and_names_every_setting() {
    let help = help();
    for line in help.lines() {
        assert!(line.chars().count() <= 80, "{line:?}");
    }
    let variables: Vec<String> =
        flags_in_help().iter().filter_map(|(_, text)| bracketed(text, "env").map(str::to_owned)).collect();
    assert_eq!(variables.len(), 22, "{variables:?}");
    assert!(help.contains("STATIC_TOKENS=name:token") && help.contains("GITHUB_CLIENT_SECRET"));
    assert!(Args::command().find_subcommand_mut("serve").unwrap().render_long_help().to_string().contains("--bind"));
}

#[test]
fn the_defaults_and_variables_that_the_help_names_are_the_ones_that_hold() {
    for (flag, text) in flags_in_help() {
        // The settings of GitHub come together or not at all.
        let app = [("GITHUB_CLIENT_ID", "id"), ("GITHUB_CLIENT_SECRET", "secret")];
        let env = if flag.starts_with("--github-") { &app[..] } else { &[] };
        let unset = config(&[], env).unwrap();
        let variable = bracketed(&text, "env").unwrap_or_else(|| panic!("{flag} has no variable"));
        // One value that is good for some settings; the others name the variable when they refuse it.
        let heard = config(&[], &[(variable, "?")]).map_or_else(|e| e.contains(variable), |other| other != unset);
        assert!(heard, "{variable} is not heard");
        if let Some(default) = bracketed(&text, "default") {
            assert_eq!(config(&[&flag, default], env).as_ref(), Ok(&unset), "{flag} {default}");
        }
    }
}

#[test]
fn hosts_and_ports_to_listen_on() {
    for (good, host, port) in [
        ("127.0.0.1:3000", "127.0.0.1", 3000),
        ("localhost:80", "localhost", 80),
        ("[::1]:3000", "::1", 3000),
        ("[fe80::1%eth0]:3000", "fe80::1%eth0", 3000),
        ("0.0.0.0:0", "0.0.0.0", 0),
        ("locks.example.com:65535", "locks.example.com", 65535),
    ] {
        let bind = config(&["--bind", good], &[]).unwrap().bind;
        assert_eq!(bind, BindAddress { host: host.into(), port });
        assert_eq!(bind.to_string(), good);
    }
    for bad in
        ["3000", ":3000", "localhost", "localhost:", "localhost:http", "localhost:+1", "localhost:65536", "::1:3000"]
    {
        assert_eq!(refusal(&[], &[("BIND_ADDR", bad)]), format!("BIND_ADDR is '{bad}'; it must be {BIND_WANTED}"));
    }
    for bad in ["[::1]", "[]:1", "[localhost]:1", "http://localhost:1", "a b:1", "[::1:3000", "[a]:b]:1"] {
        assert!(refusal(&["--bind", bad], &[]).starts_with("--bind is"), "{bad}");
    }
}

#[test]
fn databases() {
    for (good, path) in [
        ("octostore.db", "octostore.db"),
        ("/var/lib/octostore.db", "/var/lib/octostore.db"),
        ("sqlite:octostore.db", "octostore.db"),
        ("sqlite://octostore.db", "octostore.db"),
        ("sqlite:///var/lib/octostore.db", "/var/lib/octostore.db"),
        ("what?.db", "what?.db"),
    ] {
        assert_eq!(config(&[], &[("DATABASE_URL", good)]).unwrap().database, PathBuf::from(path));
    }
    for bad in [":memory:", "sqlite::memory:", "sqlite:", "sqlite://", "file:x.db", "data/", "sqlite:x.db?mode=ro"] {
        assert_eq!(refusal(&["--database", bad], &[]), format!("--database is '{bad}'; it must be {DATABASE_WANTED}"));
    }
    let invalid = OsString::from_vec(b"\xff.db".to_vec());
    let args = ServeArgs { database: Some(invalid.clone()), ..ServeArgs::default() };
    assert_eq!(Config::new(&args, &|_| None).unwrap().database, PathBuf::from(invalid));
}

#[test]
fn the_password_in_another_databases_url_is_not_repeated() {
    let text = refusal(&[], &[("DATABASE_URL", "postgres://octo:pass-word@db/locks")]);
    assert_eq!(text, format!("DATABASE_URL is 'postgres://...'; it must be {DATABASE_WANTED}"));
}

#[test]
fn numbers_outside_their_range_are_refused() {
    for (flag, max) in [("--workers", 64), ("--max-locks-per-user", 1_000_000_000), ("--max-connections", 1_000_000u64)]
    {
        for good in [1, max] {
            config(&[flag, &good.to_string()], &[]).unwrap();
        }
        for bad in ["0", "-1", "1.5", "many", "99999999999999999999", &(max + 1).to_string()] {
            let text = refusal(&[&format!("{flag}={bad}")], &[]);
            assert_eq!(text, format!("{flag} is '{bad}'; it must be a whole number from 1 to {max}"));
        }
    }
}

#[test]
fn the_limit_per_address_may_be_off() {
    for (good, limit) in [("0", 0), ("8", 8), ("1000000", 1_000_000)] {
        assert_eq!(config(&["--max-connections-per-address", good], &[]).unwrap().max_connections_per_address, limit);
    }
    for bad in ["-1", "1000001", "off"] {
        let text = refusal(&[], &[("OCTOSTORE_MAX_CONNECTIONS_PER_ADDRESS", bad)]);
        let wanted = "it must be a whole number from 0 to 1000000";
        assert_eq!(text, format!("OCTOSTORE_MAX_CONNECTIONS_PER_ADDRESS is '{bad}'; {wanted}"));
    }
}

#[test]
fn seconds_may_have_a_fraction() {
    for (good, ms) in [("1", 1000), ("0.1", 100), ("0.25", 250), ("0.29", 290), ("3600", 3_600_000)] {
        assert_eq!(config(&["--idle-timeout", good], &[]).unwrap().timeouts.idle_timeout_ms, ms);
    }
    for bad in ["0", "-1", "0.05", "3601", "inf", "NaN", "10s", "1e9"] {
        let text = refusal(&[], &[("OCTOSTORE_HEAD_TIMEOUT_SECONDS", bad)]);
        assert_eq!(text, format!("OCTOSTORE_HEAD_TIMEOUT_SECONDS is '{bad}'; it must be {SECONDS_WANTED}"));
    }
}

#[test]
fn each_timeout_has_its_own_flag() {
    let line = ["--head-timeout=1", "--body-timeout=2", "--idle-timeout=3", "--write-timeout=4"];
    let Timeouts { head_timeout_ms, body_timeout_ms, idle_timeout_ms, write_timeout_ms } =
        config(&line, &[]).unwrap().timeouts;
    assert_eq!([head_timeout_ms, body_timeout_ms, idle_timeout_ms, write_timeout_ms], [1000, 2000, 3000, 4000]);
}

#[test]
fn one_of_several_words() {
    assert_eq!(config(&["--driver", "io-uring"], &[]).unwrap().driver, Driver::IoUring);
    assert_eq!(config(&["--driver", "epoll"], &[]).unwrap().driver, Driver::Epoll);
    assert_eq!(config(&["--log-format", "json"], &[]).unwrap().log.format, LogFormat::Json);
    assert_eq!(config(&["--log-level", "warn,octostore=debug"], &[]).unwrap().log.filter, "warn,octostore=debug");
    assert_eq!(refusal(&["--driver", "iouring"], &[]), "--driver is 'iouring'; it must be auto, io-uring or epoll");
    assert_eq!(refusal(&["--log-format", "xml"], &[]), "--log-format is 'xml'; it must be text or json");
    let level = refusal(&[], &[("OCTOSTORE_LOG", "inof")]);
    assert_eq!(level, format!("OCTOSTORE_LOG is 'inof'; it must be {LOG_LEVEL_WANTED}"));
}

#[test]
fn tokens_come_from_the_environment_or_a_file_and_are_never_shown() {
    let env = [("STATIC_TOKENS", "alice:0123456789abcdef")];
    let config = config(&["--static-tokens-file", "tokens"], &env).unwrap();
    assert_eq!(config.tokens.inline.as_ref().map(Secret::reveal), Some("alice:0123456789abcdef"));
    assert_eq!(config.tokens.file, Some("tokens".into()));
    assert!(!format!("{config:?}").contains("0123456789abcdef"));
    let unreadable =
        |name: &str| (name == "STATIC_TOKENS").then(|| OsString::from_vec(b"alice:0123456789abcdef\xff".to_vec()));
    let text = Config::new(&ServeArgs::default(), &unreadable).unwrap_err().to_string();
    assert!(text.contains("STATIC_TOKENS") && !text.contains("0123456789abcdef"), "{text}");
    assert!(Args::try_parse_from(["octostore", "--static-tokens", "alice:0123456789abcdef"]).is_err());
}

#[test]
fn github_is_set_up_whole_or_not_at_all() {
    let app = [("GITHUB_CLIENT_ID", "id"), ("GITHUB_CLIENT_SECRET", "s3cret")];
    let github =
        |extra: &[(&str, &str)]| config(&[], &[&app, extra].concat()).map(|config| config.tokens.github.unwrap());
    let settings = github(&[]).unwrap();
    let odd = github(&[("GITHUB_REDIRECT_URI", " HTTPS://Locks.example.com/auth/github/callback\r")]).unwrap();
    assert_eq!(odd.redirect_uri.as_deref(), Some("https://locks.example.com/auth/github/callback"));
    assert_eq!((settings.url.as_str(), settings.api_url.as_str()), ("https://github.com", "https://api.github.com"));
    assert!(!format!("{settings:?}").contains("s3cret"));
    assert_eq!(config(&[], &[]).unwrap().tokens.github, None);
    for (variable, value) in [
        ("GITHUB_CLIENT_ID", "id"),
        ("GITHUB_CLIENT_SECRET", "s3cret"),
        ("GITHUB_URL", "https://github.com"),
        ("GITHUB_REDIRECT_URI", "https://locks.example.com/auth/github/callback"),
    ] {
        let text = refusal(&[], &[(variable, value)]);
        assert!(text.contains("GITHUB_CLIENT_") && text.contains("together") && !text.contains("s3cret"), "{text}");
    }
    for uri in ["https://locks.example.com/auth/github/callback", "http://127.0.0.1:3000/auth/github/callback"] {
        assert_eq!(github(&[("GITHUB_REDIRECT_URI", uri)]).unwrap().redirect_uri.as_deref(), Some(uri));
    }
    for uri in [
        "https://locks.example.com/elsewhere",
        "http://locks.example.com/auth/github/callback",
        "https://user:word@locks.example.com/auth/github/callback",
        "/auth/github/callback",
        "https://locks.example.com/auth/github/callback?x=1",
    ] {
        let text = github(&[("GITHUB_REDIRECT_URI", uri)]).unwrap_err();
        assert!(text.starts_with("GITHUB_REDIRECT_URI is '"), "{text}");
    }
    for url in ["http://github.example.com", "github.com", "ftp://github.com", ""] {
        let refused = config(&["--github-url", url], &app).unwrap_err();
        assert!(refused.starts_with("--github-url is '"), "{refused}");
    }
}

#[test]
fn proxies_are_addresses() {
    let line = ["--trusted-proxy", "10.0.0.1, ::ffff:10.0.0.2"];
    let expected: Vec<std::net::IpAddr> = vec!["10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap()];
    assert_eq!(config(&line, &[]).unwrap().trusted_proxies, expected);
    assert!(refusal(&["--trusted-proxy", "proxy.example.com"], &[]).contains("IP addresses"));
}

#[test]
fn a_bad_value_is_shown_on_one_line_and_not_at_length() {
    let text = refusal(&["--bind", &"x\n".repeat(1000)], &[]);
    assert!(text.len() < 300 && text.contains("\\n") && text.contains("..."), "{text}");
}
