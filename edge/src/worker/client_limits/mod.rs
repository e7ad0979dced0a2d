//! Counts what each client uses, over all workers: open connections, unfinished handshakes, requests in progress, and
//! requests a second.
//!
//! A connection changes its counts when it opens and when it closes; requests change theirs only if a limit for requests
//! is set. The kernel spreads the connections of one client over all workers, so the counts are shared, in shards that
//! are locked one at a time. Nobody can choose addresses that fall into the same bucket: the hash has a random key.
//!
//! The table has a maximum size. A client for which it has no room is admitted without being counted: the alternative, a
//! shared count for all of them, would let an attacker with many addresses shut out everyone else. Such an attacker is
//! above a limit for each client in any case, and `max_connections` still holds.

mod key;
mod rate;
#[cfg(test)]
mod tests;

use std::{
    collections::{HashMap, hash_map::Entry},
    hash::{BuildHasher, RandomState},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crossbeam_utils::CachePadded;
use tokio::time::Instant;

pub use self::{key::ClientKey, rate::Rate};

/// The maximum number of clients that are counted, about 4 MB.
const MAX_CLIENTS: usize = 1 << 16;
/// The number of locks.
const SHARDS: usize = 16;
/// The minimum time between two sweeps of a full shard, since each visits all of its clients.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// What a client holds for some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// Open connections.
    Connections,
    /// TLS handshakes that have begun and not ended.
    Handshakes,
    /// Requests in progress, on all connections.
    Requests,
}

impl Resource {
    const COUNT: usize = 3;
}

/// The client has as much of a resource as it may have, or sends requests too fast.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OverLimit;

/// Whether the table counts the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted<T> {
    /// It does.
    Yes(T),
    /// It has no room for one more client.
    NoRoom,
}

/// The usage of all clients.
#[derive(Debug)]
pub struct ClientTable {
    hasher: RandomState,
    shards: Box<[CachePadded<Mutex<Shard>>]>,
}

/// The usage of some of the clients.
#[derive(Debug)]
struct Shard {
    clients: HashMap<ClientKey, Usage>,
    max: usize,
    /// When clients without usage were last removed to make room.
    swept: Option<Instant>,
}

/// What one client uses.
#[derive(Debug, Default)]
struct Usage {
    counts: [u32; Resource::COUNT],
    /// See [`Rate::admit`].
    expected: Option<Instant>,
}

/// One unit of a resource; dropping it returns the unit.
#[derive(Debug)]
pub struct Permit {
    table: Arc<ClientTable>,
    client: ClientKey,
    resource: Resource,
}

impl Default for ClientTable {
    fn default() -> Self {
        Self::with_room_for(MAX_CLIENTS)
    }
}

impl ClientTable {
    /// Creates a table of at most `clients`, rounded down to a multiple of the number of shards.
    fn with_room_for(clients: usize) -> Self {
        let shard = || Shard { clients: HashMap::new(), max: clients / SHARDS, swept: None };
        Self {
            hasher: RandomState::new(),
            shards: (0..SHARDS).map(|_| CachePadded::new(Mutex::new(shard()))).collect(),
        }
    }

    /// Takes one unit of a resource of which the client may have `max`.
    ///
    /// # Errors
    /// The client has `max` already.
    pub fn acquire(
        self: &Arc<Self>,
        client: ClientKey,
        resource: Resource,
        max: u32,
        now: Instant,
    ) -> Result<Counted<Permit>, OverLimit> {
        let mut shard = self.shard(client);
        let Some(usage) = shard.usage(client, now) else { return Ok(Counted::NoRoom) };
        let count = &mut usage.counts[resource as usize];
        if *count >= max {
            return Err(OverLimit);
        }
        *count += 1;
        Ok(Counted::Yes(Permit { table: Arc::clone(self), client, resource }))
    }

    /// Counts a request.
    ///
    /// # Errors
    /// The client sends requests faster than `rate`.
    pub fn count_request(&self, client: ClientKey, rate: Rate, now: Instant) -> Result<Counted<()>, OverLimit> {
        let mut shard = self.shard(client);
        let Some(usage) = shard.usage(client, now) else { return Ok(Counted::NoRoom) };
        usage.expected = Some(rate.admit(usage.expected, now).ok_or(OverLimit)?);
        Ok(Counted::Yes(()))
    }

    fn shard(&self, client: ClientKey) -> MutexGuard<'_, Shard> {
        // The upper bits: the lower ones may decide the bucket within the shard.
        let shard = usize::try_from(self.hasher.hash_one(client) >> 32).unwrap_or_default() % self.shards.len();
        self.shards[shard].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shard {
    /// Returns the usage of a client; `None` if there is no room for it.
    fn usage(&mut self, client: ClientKey, now: Instant) -> Option<&mut Usage> {
        if self.clients.len() >= self.max && !self.clients.contains_key(&client) {
            if self.swept.is_some_and(|swept| now.saturating_duration_since(swept) < SWEEP_INTERVAL) {
                return None;
            }
            self.swept = Some(now);
            self.clients.retain(|_, usage| usage.is_held() || usage.expected.is_some_and(|expected| expected > now));
            if self.clients.len() >= self.max {
                return None;
            }
        }
        Some(self.clients.entry(client).or_default())
    }

    fn release(&mut self, client: ClientKey, resource: Resource) {
        let Entry::Occupied(mut entry) = self.clients.entry(client) else { return };
        let usage = entry.get_mut();
        let count = &mut usage.counts[resource as usize];
        *count = count.saturating_sub(1);
        // A client whose requests were counted stays until room is needed.
        if !usage.is_held() && usage.expected.is_none() {
            entry.remove();
        }
    }
}

impl Usage {
    fn is_held(&self) -> bool {
        self.counts.iter().any(|count| *count > 0)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.table.shard(self.client).release(self.client, self.resource);
    }
}
