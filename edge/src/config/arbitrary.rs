//! Generates arbitrary valid configurations for property tests.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    hash::Hash,
    num::NonZeroUsize,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use http::{HeaderName, HeaderValue, Method};
use proptest::{collection::vec, option, prelude::*};
use settings::{address::overlap, value::LONGEST};

use super::{
    AccessLog, BACKUP, Balance, CertificateFiles, Config, Discovery, Dns, Drain, Ejection, EndpointOptions, Expect,
    HashKey, HealthCheck, HostMatch, Interval, Limits, Listener, MAX_TIER, MAX_WEIGHT, NameServer, Pool, Protocol,
    Route, SameSite, Source, Sticky, Swarm, Timeouts, Tls, TlsCheck, Transport, Trust, UpstreamTimeouts,
    defaults::REPLICA_HEADER,
    rules::arbitrary::rules,
    value::{BALANCES, MIN_MEMORY},
};

/// Generates configurations that parsing can return.
pub(super) fn config() -> impl Strategy<Value = Config> {
    let admin = option::of((address(), option::of(file())));
    let process = (1_usize..=1024, [duration_or_zero(), duration_or_zero()], option::of(file()), admin, access_log());
    let parts = (vec(listener(), 1..4), vec(pool(), 1..4), vec(route(), 1..5), limits(), timeouts(), resolvers());
    let networks = vec((any::<std::net::IpAddr>(), 0_u8..=32), 0..3);
    let swarm = option::of(file()).prop_map(|token_file| Swarm { token_file });
    (process, parts, networks, swarm).prop_map(|(process, parts, networks, swarm)| {
        let (listeners, mut pools, routes, limits, timeouts, (dns, resolvers)) = parts;
        pools.iter_mut().for_each(|pool| keep_known_resolvers(&mut pool.discovery, &resolvers));
        let (workers, [drain, drain_delay], takeover, admin, access_log) = process;
        // A token without a listener causes a warning.
        let (admin, admin_token_file) = admin.map_or((None, None), |(admin, token)| (Some(admin), token));
        let mut listeners = without_duplicates(listeners, |listener| listener.address);
        listeners.retain(|listener| admin.is_none_or(|admin| !overlap(listener.address, admin)));
        listeners.push(Listener::plain(([127, 0, 0, 1], 0).into()));
        let pools = without_duplicates(pools, |pool| pool.name.clone());
        let mut routes = without_duplicates(routes, |route| (route.host.clone(), route.path.clone()));
        routes.iter_mut().for_each(|route| route.pool %= pools.len());
        Config {
            workers: NonZeroUsize::new(workers).unwrap(),
            drain,
            drain_delay,
            takeover,
            admin,
            admin_token_file,
            access_log,
            dns,
            resolvers,
            swarm,
            listeners,
            routes,
            pools: pools.into_iter().map(Arc::new).collect(),
            limits,
            timeouts,
            trusted_proxies: networks
                .into_iter()
                .map(|(address, length)| ipnet::IpNet::new(address, length).unwrap().trunc())
                .collect(),
        }
    })
}

fn without_duplicates<T, K: Eq + Hash>(items: Vec<T>, key: impl Fn(&T) -> K) -> Vec<T> {
    let mut seen = HashSet::new();
    items.into_iter().filter(|item| seen.insert(key(item))).collect()
}

fn duration_or_zero() -> impl Strategy<Value = Duration> {
    prop_oneof![
        (0..LONGEST.as_nanos()).prop_map(|nanos| Duration::from_nanos(nanos.try_into().unwrap())),
        (0_u64..10_000).prop_map(Duration::from_millis),
    ]
}

fn duration() -> impl Strategy<Value = Duration> {
    duration_or_zero().prop_map(|duration| duration.max(Duration::from_nanos(1)))
}

fn address() -> impl Strategy<Value = std::net::SocketAddr> {
    (any::<std::net::IpAddr>(), 1_u16..).prop_map(Into::into)
}

fn name() -> impl Strategy<Value = String> {
    "[a-z]([a-z0-9_-]{0,9}[a-z0-9])?(\\.[a-z]{1,5}){0,2}"
}

fn file() -> impl Strategy<Value = PathBuf> {
    "/[^\0/]([^\0]{0,20}[^\0/.])?".prop_map(PathBuf::from)
}

fn access_log() -> impl Strategy<Value = AccessLog> {
    prop_oneof![Just(AccessLog::Off), Just(AccessLog::Stdout), file().prop_map(AccessLog::File)]
}

fn listener() -> impl Strategy<Value = Listener> {
    (address(), any::<[bool; 2]>(), option::of(tls())).prop_map(|(address, [freebind, reuse_port], tls)| Listener {
        address,
        freebind,
        reuse_port,
        tls,
    })
}

fn tls() -> impl Strategy<Value = Tls> {
    let files = (file(), file()).prop_map(|(certificate, key)| CertificateFiles { certificate, key });
    (vec(files, 0..3), vec(name(), 1..3)).prop_map(|(certificates, self_signed)| Tls { certificates, self_signed })
}

fn route() -> impl Strategy<Value = Route> {
    let host = prop_oneof![
        Just(HostMatch::Any),
        name().prop_map(HostMatch::Exact),
        name().prop_map(HostMatch::Suffix),
        any::<std::net::Ipv6Addr>().prop_map(|address| HostMatch::Exact(format!("[{address}]"))),
    ];
    let pool = (0_usize..4, option::of(0..u64::MAX));
    (host, "/[a-z0-9/%\"'.]{0,9}", pool, rules()).prop_map(|(host, path, (pool, max_body), rules)| {
        let route = Route { host, path, max_body, rules, ..Route::to(pool) };
        // A route that answers every request has no pool.
        if route.answers_everything() { Route { pool: 0, ..route } } else { route }
    })
}

fn pool() -> impl Strategy<Value = Pool> {
    let host = prop_oneof![name(), any::<std::net::IpAddr>().prop_map(|address| address.to_string())];
    let source = prop_oneof![
        address().prop_map(Source::Address),
        (name(), 1_u16..).prop_map(|(host, port)| Source::Name { host, port }),
        name().prop_map(|name| Source::Services { name }),
        "/[a-z0-9. /]{0,9}[a-z]".prop_map(|path| Source::File(path.into())),
        (host, 1_u16.., 1_u16..).prop_map(|(host, host_port, port)| Source::Swarm { host, host_port, port }),
    ];
    let options = vec(endpoint_options(), 3);
    let balance = (
        prop::sample::select(&BALANCES[..]).prop_map(|(balance, _)| balance),
        hash_key(),
        1.0..=100.0,
        option::of(sticky()),
    );
    let heads = (8192_usize..=1 << 20, 1_usize..=10_000, any::<[bool; 2]>(), "x-[a-z]{1,9}");
    let numbers = (
        ([0.0..=1.0, 0.0..=1.0, 0.0..=1.0], option::of("[a-z0-9-]{1,9}")),
        (1_usize..=100, retries()),
        1_usize..=1_000_000,
        [0_usize..=1_000_000, 0..=1_000_000],
        heads,
    );
    let sources = vec(source, 1..4).prop_map(|sources| without_duplicates(sources, ToString::to_string));
    let discovery = (option::of(RESOLVER), option::of(interval()), vec(option::of(RESOLVER), 3));
    let sources = (sources, options, discovery).prop_map(|(sources, options, (resolver, interval, resolvers))| {
        let resolved = sources.iter().zip(resolvers).filter(|(source, _)| source.is_resolved());
        let resolvers: HashMap<_, _> =
            resolved.filter_map(|(source, resolver)| Some((source.clone(), resolver?))).collect();
        let discovery = Discovery { resolver, resolvers, interval };
        let options = sources.iter().cloned().zip(options);
        let options = options.filter(|(_, options)| *options != EndpointOptions::default()).collect();
        (sources, options, discovery)
    });
    let passive = ((ejection(), option::of(duration())), drain());
    ("[A-Za-z0-9_-]{1,9}", sources, balance, option::of(health()), passive, numbers, upstream_timeouts()).prop_map(
        |(
            name,
            (sources, options, discovery),
            (balance, hash_key, hash_bound, sticky),
            health,
            ((ejection, slow_start), drain),
            numbers,
            timeouts,
        )| {
            // With a mesh, these are errors.
            let mesh = numbers.4.2[1] && sticky.is_none() && balance != Balance::ConsistentHash;
            let mut ejection = ejection;
            if mesh {
                ejection.consecutive_errors = 0;
            }
            Pool {
                name,
                sources,
                options,
                discovery,
                balance,
                hash_key,
                hash_bound,
                sticky,
                health,
                ejection,
                slow_start: slow_start.filter(|_| !mesh),
                drain,
                panic_threshold: numbers.0.0[0],
                tier_threshold: numbers.0.0[1],
                zone_threshold: numbers.0.0[2],
                zone: numbers.0.1,
                attempts: NonZeroUsize::new(numbers.1.0).unwrap(),
                retry_statuses: numbers.1.1.0,
                replay_buffer: numbers.1.1.1,
                retry_budget: numbers.1.1.2[0],
                // Behind a mesh it has no effect, and parsing warns about it.
                suspicion: if mesh { Duration::from_secs(10) } else { numbers.1.1.3 },
                hedge: numbers.1.1.2[1],
                max_connections: NonZeroUsize::new(numbers.2).unwrap(),
                max_queue: numbers.3[0],
                max_idle: numbers.3[1],
                max_response_head: numbers.4.0,
                max_response_headers: numbers.4.1,
                via: numbers.4.2[0],
                mesh,
                // Without a mesh it has no effect, and parsing warns about it.
                replica_header: if mesh { numbers.4.3 } else { REPLICA_HEADER.to_owned() },
                timeouts,
            }
        },
    )
}

fn retries() -> impl Strategy<Value = (Vec<(u16, u16)>, usize, [f64; 2], Duration)> {
    let range = (400_u16..=599, 400_u16..=599).prop_map(|(a, b)| (a.min(b), a.max(b)));
    (vec(range, 0..3), 0_usize..=1 << 20, [0.0..=1.0, 0.0..=1.0], duration_or_zero())
}

fn sticky() -> impl Strategy<Value = Sticky> {
    let same_site = prop_oneof![Just(SameSite::Lax), Just(SameSite::Strict), Just(SameSite::None)];
    let names = ("[A-Za-z0-9_-]{1,9}", "/[a-z0-9/%]{0,9}");
    let booleans = (option::of(any::<bool>()), any::<bool>());
    (names, same_site, booleans, option::of(duration()), option::of(file())).prop_map(
        |((cookie, path), same_site, (secure, http_only), max_age, key_file)| Sticky {
            cookie,
            path,
            same_site,
            secure: secure.map(|secure| secure || same_site == SameSite::None),
            http_only,
            max_age,
            key_file,
        },
    )
}

fn hash_key() -> impl Strategy<Value = HashKey> {
    prop_oneof![
        Just(HashKey::Client),
        Just(HashKey::Path),
        "[a-z0-9-]{1,9}".prop_map(HashKey::Header),
        "[A-Za-z0-9_-]{1,9}".prop_map(HashKey::Cookie),
    ]
}

fn endpoint_options() -> impl Strategy<Value = EndpointOptions> {
    prop_oneof![
        Just(EndpointOptions::default()),
        (1..=MAX_WEIGHT, prop_oneof![1..=MAX_TIER, Just(BACKUP)], option::of("[a-z0-9-]{1,9}"))
            .prop_map(|(weight, tier, zone)| EndpointOptions { weight, tier, zone }),
    ]
}

fn health() -> impl Strategy<Value = HealthCheck> {
    let range = (100_u16..=599, 100_u16..=599).prop_map(|(a, b)| (a.min(b), a.max(b)));
    let expect = prop_oneof![Just(Expect::Any), vec(range, 1..3).prop_map(Expect::Statuses)];
    let method = prop_oneof![Just(Method::GET), Just(Method::HEAD), Just(Method::from_bytes(b"PURGE").unwrap())];
    let body = option::of("[^\0]{1,20}");
    let http = ("/[a-z?=%]{0,9}".prop_map(|path| path.parse().unwrap()), method, expect, body).prop_map(
        |(path, method, expect, body)| HealthCheck {
            path: Some(path),
            body: body.filter(|_| method != Method::HEAD),
            method,
            expect,
            ..HealthCheck::default()
        },
    );
    let grpc = "[!-~]{0,9}".prop_map(|service| HealthCheck { grpc: Some(service), ..HealthCheck::default() });
    let request = prop_oneof![Just(HealthCheck::default()), http, grpc];
    let header = ("x-[a-z0-9-]{1,9}", "([!-~]([ -~]{0,9}[!-~])?)?")
        .prop_map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse::<HeaderValue>().unwrap()));
    let to = (option::of(1_u16..), option::of(name()), vec(header, 0..3), option::of(tls_check()));
    let times = ([duration().boxed(), duration().boxed(), duration().boxed()], duration(), any::<bool>());
    (request, to, times, (1_u32..=1000, 1_u32..=1000)).prop_map(
        |(request, (port, host, headers, tls), (mut intervals, timeout, has_idle), (rise, fall))| {
            intervals.sort();
            let [fast_interval, interval, idle_interval] = intervals;
            let headers = without_duplicates(headers, |(name, _)| name.clone());
            HealthCheck {
                port,
                host,
                // A check that only connects has none.
                headers: if request.protocol() == Protocol::Tcp { Vec::new() } else { headers },
                tls,
                interval,
                fast_interval,
                idle_interval: has_idle.then_some(idle_interval),
                timeout,
                rise,
                fall,
                ..request
            }
        },
    )
}

fn tls_check() -> impl Strategy<Value = TlsCheck> {
    let trust = prop_oneof![Just(Trust::System), file().prop_map(Trust::File), Just(Trust::Any)];
    (trust, option::of(name())).prop_map(|(trust, server_name)| TlsCheck { trust, server_name })
}

fn ejection() -> impl Strategy<Value = Ejection> {
    ([0_u32..=1_000_000, 0..=1_000_000], duration(), duration(), 0.0..=1.0, 0.0..=1.0).prop_map(
        |([consecutive_failures, consecutive_errors], one, other, max_share, error_share)| Ejection {
            consecutive_failures,
            consecutive_errors,
            error_share,
            base: one.min(other),
            max: one.max(other),
            max_share,
        },
    )
}

fn drain() -> impl Strategy<Value = Drain> {
    (option::of("x-[a-z0-9-]{1,9}"), duration()).prop_map(|(header, time)| Drain { header, time })
}

fn upstream_timeouts() -> impl Strategy<Value = UpstreamTimeouts> {
    let options = (option::of(duration()), option::of(duration()));
    (duration_or_zero(), options, std::array::from_fn::<_, 7, _>(|_| duration().boxed())).prop_map(
        |(queue, (one_try, request), [connect, unacknowledged, response, body_idle, idle, max_age, tunnel_idle])| {
            UpstreamTimeouts {
                connect,
                queue,
                unacknowledged,
                response,
                one_try,
                request,
                body_idle,
                idle,
                max_age,
                tunnel_idle,
            }
        },
    )
}

fn limits() -> impl Strategy<Value = Limits> {
    let per_client = ([0_u32..=1_000_000, 0..=1_000_000, 0..=1_000_000, 0..=1_000_000], 1_u32..=1_000_000);
    let memory = (option::of(MIN_MEMORY..=1 << 40), 0_u64..=1 << 30);
    (1_usize..=1_000_000, per_client, 8192_usize..=1 << 20, 1_usize..=10_000, 1_u32..=10_000, memory).prop_map(
        |(max_connections, (per_client, request_burst_per_client), max_head, max_headers, max_streams, memory)| {
            Limits {
                max_connections: NonZeroUsize::new(max_connections).unwrap(),
                connections_per_client: per_client[0],
                handshakes_per_client: per_client[1],
                requests_per_client: per_client[2],
                request_rate_per_client: per_client[3],
                request_burst_per_client,
                max_head,
                max_headers,
                max_streams,
                memory: memory.0,
                min_rate: memory.1,
            }
        },
    )
}

fn timeouts() -> impl Strategy<Value = Timeouts> {
    [duration().boxed(), duration().boxed(), duration().boxed(), duration().boxed()]
        .prop_map(|[handshake, head, keep_alive, body_idle]| Timeouts { handshake, head, keep_alive, body_idle })
}

/// The names of resolvers.
const RESOLVER: &str = "[a-c]";

/// Generates the default resolver and further ones.
fn resolvers() -> impl Strategy<Value = (Dns, BTreeMap<String, Dns>)> {
    (dns(), vec((RESOLVER, dns()), 0..3)).prop_map(|(dns, resolvers)| (dns, resolvers.into_iter().collect()))
}

/// A pool that names another resolver is an error.
fn keep_known_resolvers(discovery: &mut Discovery, known: &BTreeMap<String, Dns>) {
    discovery.resolver = discovery.resolver.take().filter(|name| known.contains_key(name));
    discovery.resolvers.retain(|_, name| known.contains_key(name));
}

fn dns() -> impl Strategy<Value = Dns> {
    let transport = prop::sample::select(vec![Transport::Udp, Transport::Tcp, Transport::Tls]);
    let server = (transport, address()).prop_map(|(transport, address)| NameServer { transport, address });
    (vec(server, 0..3), option::of(name()), option::of(file()), interval(), duration()).prop_map(
        |(servers, tls_name, ca_file, interval, timeout)| Dns { servers, tls_name, ca_file, interval, timeout },
    )
}

fn interval() -> impl Strategy<Value = Interval> {
    prop_oneof![
        duration().prop_map(Interval::Fixed),
        (duration(), duration()).prop_map(|(one, other)| Interval::Ttl { min: one.min(other), max: one.max(other) }),
    ]
}
