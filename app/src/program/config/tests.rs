use clap::{CommandFactory, FromArgMatches};

use super::*;

/// Parses without this process's variables.
fn parse(args: &[&str]) -> Result<Config, Errors<ConfigError>> {
    let command = Flags::command().mut_args(|arg| arg.env(None));
    let matches = command.try_get_matches_from(["app"].iter().chain(args));
    let flags = Flags::from_arg_matches(&matches.unwrap()).unwrap();
    Config::parse(&flags, |path| match path.to_str() {
        Some("url") => Ok(b"redis://:s3cret@from-file\n".to_vec()),
        Some("secret") => Ok(b"s3cret\n".to_vec()),
        Some("lines") => Ok(b"s3cret\ns3cret\n".to_vec()),
        Some("pem") => Ok(b"not pem".to_vec()),
        _ => Err(io::ErrorKind::NotFound.into()),
    })
}

#[test]
fn the_store_is_redis_when_given_and_else_a_file() {
    let table: [(&[&str], &str); 5] = [
        (&["--redis-url", "redis://redis"], "Redis(RedisConfig(redis:6379))"),
        (&["--redis-url-file", "url"], "Redis(RedisConfig(from-file:6379))"),
        (&["--redis-url", "unix:///r.sock"], "Redis(RedisConfig(/r.sock))"),
        (
            &["--redis-sentinels=a:1,b", "--redis-master=m", "--redis-password-file=secret"],
            "Redis(RedisConfig(m by a:1,b:26379))",
        ),
        (&["--data", "d"], "File(\"d/hits.redb\")"),
    ];
    for (args, store) in table {
        assert_eq!(format!("{:?}", parse(args).unwrap().store), store);
    }
}

#[test]
fn the_defaults_are_those_of_the_documentation() {
    let config = parse(&["--data", "d"]).unwrap();
    assert_eq!(config.listen, "0.0.0.0:8000".parse().unwrap());
    assert_eq!(config.admin, None);
    assert_eq!(config.limits, Limits::default());
    assert_eq!(config.options, Options::default());
    assert_eq!(config.log.to_string(), "info");
}

#[test]
fn values_are_used() {
    let args = [
        "--data=d",
        "--listen=[::1]:81",
        "--admin=:82",
        "--deadline=500ms",
        "--drain-delay=3s",
        "--grace=1m",
        "--max-connections=7",
        "--log=debug",
    ];
    let config = parse(&args).unwrap();
    assert_eq!(config.listen, "[::1]:81".parse().unwrap());
    assert_eq!(config.admin, Some("[::]:82".parse().unwrap()));
    assert_eq!(config.limits.deadline, Duration::from_millis(500));
    assert_eq!(config.options.max_connections.get(), 7);
    assert_eq!(config.options.drain_delay, Duration::from_secs(3));
    assert_eq!(config.options.grace, Duration::from_secs(60));
    assert_eq!(config.log.to_string(), "debug");
    let every_address = parse(&["--data=d", "--listen=:8000"]).unwrap();
    assert_eq!(every_address.listen, "[::]:8000".parse().unwrap());
}

#[test]
fn every_error_is_reported_and_each_once() {
    let args = [
        "--listen=8000",
        "--admin=x",
        "--redis-url=redis://:s3cret@redis/x",
        "--durability=two",
        "--degraded=so",
        "--deadline=0s",
        "--drain-delay=soon",
        "--grace=2h",
        "--max-connections=0",
        "--log=app=loud",
    ];
    let text = parse(&args).unwrap_err().to_string();
    assert_eq!(text.lines().count(), args.len(), "{text}");
    for name in args.map(|arg| arg.split('=').next().unwrap_or_default()) {
        assert_eq!(text.matches(&format!("{name} (")).count(), 1, "{name}: {text}");
    }
    assert!(!text.contains("s3cret"), "{text}");
}

#[test]
fn errors_name_the_setting_and_never_the_password() {
    let table: [(&[&str], &str); 40] = [
        (&[], "there is nowhere to count: set --redis-url (REDIS_URL)"),
        (&["--data", ""], "--data (APP_DATA) is empty"),
        (&["--redis-url", ""], "--redis-url (REDIS_URL) cannot be used: write redis://"),
        (&["--redis-url=http://:s3cret@redis"], "--redis-url (REDIS_URL) cannot be used: write redis://"),
        (&["--redis-url=redis://:s3cret@redis/x"], "--redis-url (REDIS_URL) cannot be used: the URL"),
        (&["--redis-url=redis://r", "--redis-url-file=url"], "are both set"),
        (&["--redis-url-file=redis://:s3cret@redis"], "--redis-url-file (REDIS_URL_FILE) is a URL"),
        (&["--redis-url-file=gone"], "--redis-url-file (REDIS_URL_FILE) names \"gone\""),
        (&["--redis-url=redis://r", "--redis-ca-file=pem"], "--redis-ca-file (REDIS_CA_FILE) cannot"),
        (&["--redis-url=rediss://r", "--redis-ca-file=pem"], "--redis-ca-file (REDIS_CA_FILE) cannot"),
        (&["--data=d", "--redis-ca-file=pem"], "--redis-ca-file (REDIS_CA_FILE) is set without"),
        (&["--redis-sentinels=a", "--redis-url=redis://r"], "(REDIS_SENTINELS) cannot be combined with"),
        (&["--redis-sentinels=a", "--redis-ca-file=pem"], "--redis-ca-file (REDIS_CA_FILE) cannot be used with"),
        (
            &["--redis-sentinels=a:x"],
            "--redis-sentinels (REDIS_SENTINELS) cannot be used: malformed entry 1: write host:port",
        ),
        (&["--redis-sentinels=a", "--redis-master="], "--redis-master (REDIS_MASTER) cannot be used: it is empty"),
        (
            &["--redis-sentinels=a", "--redis-password-file=lines"],
            "--redis-password-file (REDIS_PASSWORD_FILE) names a file that holds no line",
        ),
        (
            &["--redis-sentinels=a", "--sentinel-user-file=gone"],
            "--sentinel-user-file (SENTINEL_USER_FILE) names \"gone\"",
        ),
        (&["--redis-url=redis://r", "--redis-user-file=secret"], "--redis-user-file (REDIS_USER_FILE) is set without"),
        (&["--data=d", "--sentinel-password-file=secret"], "(SENTINEL_PASSWORD_FILE) is set without"),
        (&["--redis-url=redis://r", "--durability=two"], "--durability (APP_DURABILITY) is \"two\""),
        (&["--redis-url=redis://r", "--degraded=so"], "--degraded (APP_DEGRADED) is \"so\""),
        (&["--redis-url=redis://r", "--data=d"], "--data (APP_DATA) cannot be combined with a Redis"),
        (&["--redis-sentinels=a", "--data="], "--data (APP_DATA) cannot be combined with a Redis"),
        (&["--data=d", "--durability=local"], "--durability (APP_DURABILITY) is set, but the count is in a file"),
        (&["--data=d", "--degraded=go-on"], "--degraded (APP_DEGRADED) is set, but the count is in a file"),
        (&["--data=d", "--listen=8000"], "--listen (APP_LISTEN): \"8000\" is only a port: write \":8000\""),
        (&["--data=d", "--admin=9900"], "--admin (APP_ADMIN): \"9900\" is only a port: write \":9900\""),
        (
            &["--data=d", "--listen=:1", "--admin=[::]:1"],
            "--listen (APP_LISTEN) and --admin (APP_ADMIN) are both [::]:1",
        ),
        (
            &["--data=d", "--listen=0.0.0.0:1", "--admin=:1"],
            "--listen (APP_LISTEN) is 0.0.0.0:1 and --admin (APP_ADMIN) is [::]:1, which is the same on some address",
        ),
        (&["--data=d", "--listen=0.0.0.0:1", "--admin=127.0.0.1:1"], "which is the same on some address"),
        (&["--data=d", "--deadline=2"], "--deadline (APP_DEADLINE) is \"2\""),
        (&["--data=d", "--deadline=0s"], "--deadline (APP_DEADLINE) leaves no time"),
        (&["--data=d", "--deadline=61s"], "--deadline (APP_DEADLINE) is \"61s\", which is too long: write at most 1m"),
        (&["--data=d", "--deadline=500000000000y"], "--deadline (APP_DEADLINE) is"),
        (&["--data=d", "--drain-delay=61m"], "--drain-delay (APP_DRAIN_DELAY) is \"61m\", which is too long"),
        (&["--data=d", "--grace=500000000000y"], "--grace (APP_GRACE) is"),
        (&["--data=d", "--max-connections="], "--max-connections (APP_MAX_CONNECTIONS) is \"\""),
        (&["--data=d", "--max-connections=0"], "--max-connections (APP_MAX_CONNECTIONS) is \"0\""),
        (&["--data=d", "--max-connections=many"], "--max-connections (APP_MAX_CONNECTIONS) is \"many\""),
        (&["--data=d", "--max-connections=1000001"], "which is too many: write at most 1000000"),
    ];
    for (args, part) in table {
        let text = parse(args).unwrap_err().to_string();
        assert!(text.contains(part), "{args:?}: {text}");
        assert!(!text.contains("s3cret"), "{text}");
    }
    let error = parse(&["--data=d", "--log=app=loud"]).unwrap_err();
    assert!(error.to_string().contains("--log (LOG) is \"app=loud\""), "{error}");
}
