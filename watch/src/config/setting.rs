//! Names of the settings for error messages: the flag and its variable.

pub(super) const LISTEN: &str = "--listen (WATCH_LISTEN)";
pub(super) const DOCKER: &str = "--docker (DOCKER_HOST)";
pub(super) const FRESH: &str = "--fresh (WATCH_FRESH)";
pub(super) const EDGES: &str = "--edges (WATCH_EDGES)";
pub(super) const PEERS: &str = "--peers (WATCH_PEERS)";
pub(super) const DISK: &str = "--disk (WATCH_DISK)";
pub(super) const PASSWORD_FILE: &str = "--password-file (WATCH_PASSWORD_FILE)";
pub(super) const TOKEN_FILE: &str = "--token-file (WATCH_TOKEN_FILE)";
pub(super) const BASE_PATH: &str = "--base-path (WATCH_BASE_PATH)";
pub(super) const OPEN: &str = "--open (WATCH_OPEN)";
pub(super) const HOSTS: &str = "--hosts (WATCH_HOSTS)";
pub(super) const MAX_CONNECTIONS: &str = "--max-connections (WATCH_MAX_CONNECTIONS)";
pub(super) const MAX_STREAMS: &str = "--max-streams (WATCH_MAX_STREAMS)";
pub(super) const MAX_STREAMS_PER_CLIENT: &str = "--max-streams-per-client (WATCH_MAX_STREAMS_PER_CLIENT)";
pub(super) const GRACE: &str = "--grace (WATCH_GRACE)";
