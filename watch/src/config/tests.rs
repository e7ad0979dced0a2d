use super::*;
use clap::{CommandFactory, FromArgMatches};

/// Parses without the environment of this process.
fn parse(args: &[&str]) -> Result<Config, Errors<ConfigError>> {
    let command = Flags::command().mut_args(|arg| arg.env(None));
    let matches = command.try_get_matches_from(["watch"].iter().chain(args));
    let flags = Flags::from_arg_matches(&matches.unwrap()).unwrap();
    Config::parse(&flags, |path| match path.to_str() {
        Some("url") => Ok(b"redis://:s3cret@from-file\n".to_vec()),
        Some("secret") => Ok(b"s3cret\n".to_vec()),
        Some("pair") => Ok(b"ops:s3cret\n".to_vec()),
        Some("lines") => Ok(b"s3cret\ns3cret\n".to_vec()),
        Some("binary") => Ok(vec![0xff]),
        _ => Err(io::ErrorKind::NotFound.into()),
    })
}

#[test]
fn settings_are_displayed_without_secrets() {
    insta::assert_snapshot!(parse(&[]).unwrap().to_string(), @r"
    page             http://0.0.0.0:8080
    engine           unix:///var/run/docker.sock
    fresh            10s
    redis            none
    edges            none
    other instances  none
    alerts           on the page only
    disk             /
    access           clients on this machine
    names            addresses, private names
    connections      512
    streams          128, 16 for each client
    grace            5s
    ");
    let config = parse(&[
        "--listen=[::1]:81",
        "--docker=tcp://10.0.0.1:2375",
        "--fresh=1m",
        "--redis-sentinels=a:1,b",
        "--redis-password-file=secret",
        "--edges=tasks.edge:9901,10.0.0.2:9901",
        "--peers=tasks.watch:8080",
        "--disk=/var/lib/docker",
        "--password-file=pair",
        "--token-file=secret",
        "--hosts=Watch.example.com",
        "--max-connections=20",
        "--max-streams=9",
        "--grace=1s",
    ]);
    insta::assert_snapshot!(config.unwrap().to_string(), @r"
    page             http://[::1]:81
    engine           tcp://10.0.0.1:2375
    fresh            1m
    redis            counter by a:1,b:26379
    edges            tasks.edge:9901, 10.0.0.2:9901
    other instances  tasks.watch:8080
    alerts           on the page only
    disk             /var/lib/docker
    access           clients with the password or the token
    names            addresses, private names, watch.example.com
    connections      20
    streams          9, 9 for each client
    grace            1s
    ");
}

#[test]
fn errors_name_the_setting_and_never_the_secret() {
    let table: [(&[&str], &str); 36] = [
        (&["--listen=8080"], "--listen (WATCH_LISTEN): \"8080\" is only a port: write \":8080\""),
        (&["--docker="], "--docker (DOCKER_HOST) is \"\": write unix:///var/run/docker.sock"),
        (&["--docker=unix://docker.sock"], "--docker (DOCKER_HOST) is"),
        (&["--docker=tcp://engine"], "--docker (DOCKER_HOST) is \"tcp://engine\""),
        (&["--docker=ssh://engine"], "--docker (DOCKER_HOST) is"),
        (&["--fresh=1s"], "--fresh (WATCH_FRESH) is \"1s\", which is too short"),
        (&["--fresh=11m"], "--fresh (WATCH_FRESH) is \"11m\", which is too long: write at most 10m"),
        (&["--fresh=soon"], "--fresh (WATCH_FRESH) is \"soon\": write a duration with its unit"),
        (&["--edges=tasks.edge"], "--edges (WATCH_EDGES): malformed entry 1: write host:port"),
        (&["--peers=http://a:1, b,c:1"], "--peers (WATCH_PEERS): malformed entries 1 and 2: write"),
        (&["--disk="], "--disk (WATCH_DISK) is empty"),
        (&["--hosts=https://a.example,b:1"], "--hosts (WATCH_HOSTS) has \"https://a.example\", \"b:1\": write names"),
        (&["--max-streams-per-client=0"], "--max-streams-per-client (WATCH_MAX_STREAMS_PER_CLIENT) is 0"),
        (&["--redis-url=http://:s3cret@redis"], "--redis-url (REDIS_URL) cannot be used: write redis://"),
        (&["--redis-url=redis://:s3cret@redis/x"], "--redis-url (REDIS_URL) cannot be used: the URL"),
        (&["--redis-url=redis://r", "--redis-url-file=url"], "are both set"),
        (&["--redis-url-file=redis://:s3cret@redis"], "--redis-url-file (REDIS_URL_FILE) is a URL"),
        (&["--redis-url-file=gone"], "--redis-url-file (REDIS_URL_FILE) names \"gone\", which cannot be read"),
        (&["--redis-sentinels=a", "--redis-url=redis://r"], "(REDIS_SENTINELS) cannot be combined with"),
        (
            &["--redis-sentinels=a:1,redis://:s3cret@b"],
            "--redis-sentinels (REDIS_SENTINELS) cannot be used: malformed entry 2: write host:port",
        ),
        (&["--redis-sentinels=a", "--redis-master="], "--redis-master (REDIS_MASTER) cannot be used: it is empty"),
        (&["--redis-sentinels=a", "--redis-password-file=lines"], "--redis-password-file (REDIS_PASSWORD_FILE) names"),
        (&["--redis-sentinels=a", "--sentinel-user-file=gone"], "--sentinel-user-file (SENTINEL_USER_FILE) names"),
        (&["--redis-url=redis://r", "--redis-user-file=secret"], "--redis-user-file (REDIS_USER_FILE) is set without"),
        (&["--password-file=secret"], "--password-file (WATCH_PASSWORD_FILE) names a file that cannot be used"),
        (
            &["--password-file=lines"],
            "--password-file (WATCH_PASSWORD_FILE) names a file that must contain exactly one line",
        ),
        (&["--base-path=watch"], "--base-path (WATCH_BASE_PATH) is \"watch\": write a path"),
        (&["--open=maybe"], "--open (WATCH_OPEN) is \"maybe\": write yes or no"),
        (&["--open", "--password-file=pair"], "--open (WATCH_OPEN) cannot be combined with --password-file"),
        (&["--token-file=binary"], "--token-file (WATCH_TOKEN_FILE) names a file that must contain exactly one line"),
        (&["--max-connections=0"], "--max-connections (WATCH_MAX_CONNECTIONS) is 0: write a number from 1"),
        (&["--max-connections=many"], "--max-connections (WATCH_MAX_CONNECTIONS) is \"many\": write a number"),
        (&["--max-connections=256"], "--max-streams (WATCH_MAX_STREAMS) is 128, which leaves no room"),
        (&["--max-streams=1000001"], "--max-streams (WATCH_MAX_STREAMS) is 1000001"),
        (&["--grace=2h"], "--grace (WATCH_GRACE) is \"2h\", which is too long"),
        (&["--log=watch=loud"], "--log (LOG) is \"watch=loud\""),
    ];
    for (args, part) in table {
        let text = parse(args).unwrap_err().to_string();
        assert!(text.contains(part), "{args:?}: {text}");
        assert!(!text.contains("s3cret"), "{text}");
    }
}

#[test]
fn every_error_is_reported() {
    let args = [
        "--listen=8080",
        "--docker=engine",
        "--fresh=1s",
        "--edges=a",
        "--peers=b",
        "--disk=",
        "--redis-url=redis://:s3cret@redis/x",
        "--config=/nowhere/watch.toml",
        "--password-file=secret",
        "--token-file=lines",
        "--open=maybe",
        "--base-path=//a",
        "--max-connections=many",
        "--max-streams=0",
        "--max-streams-per-client=x",
        "--hosts=a:1",
        "--grace=soon",
        "--log=watch=loud",
    ];
    let text = parse(&args).unwrap_err().to_string();
    assert_eq!(text.lines().count(), args.len(), "{text}");
    for name in args.map(|arg| arg.split('=').next().unwrap_or_default()) {
        let name = if name == "--config" { "/nowhere/watch.toml" } else { name };
        assert!(text.contains(name), "{name}: {text}");
    }
    assert!(!text.contains("s3cret"), "{text}");
}

#[test]
fn everyone_may_read_the_page_only_if_the_operator_says_so() {
    for (args, access) in [
        (&[][..], "clients on this machine"),
        (&["--open=no"], "clients on this machine"),
        (&["--open"], "everyone"),
        (&["--open=YES"], "everyone"),
        (&["--open=no", "--token-file=secret"], "clients with the token"),
    ] {
        assert_eq!(parse(args).unwrap().access.to_string(), access, "{args:?}");
    }
}

#[test]
fn a_port_alone_listens_on_every_address() {
    assert_eq!(parse(&["--listen=:8080"]).unwrap().listen, "[::]:8080".parse().unwrap());
}

#[test]
fn the_redis_url_may_come_from_a_file() {
    let config = parse(&["--redis-url-file=url"]).unwrap();
    assert_eq!(config.redis.unwrap().to_string(), "from-file:6379");
}
