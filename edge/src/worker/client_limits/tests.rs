use std::net::{IpAddr, Ipv4Addr};

use proptest::prelude::*;

use super::*;

fn client(number: u32) -> ClientKey {
    ClientKey::of(IpAddr::V4(Ipv4Addr::from(number)))
}

/// The number of clients in a table, and the sum of all their counts.
fn size(table: &ClientTable) -> (usize, u32) {
    let shards = table.shards.iter().map(|shard| shard.lock().unwrap());
    shards.fold((0, 0), |(clients, units), shard| {
        let held: u32 = shard.clients.values().flat_map(|usage| usage.counts).sum();
        (clients + shard.clients.len(), units + held)
    })
}

fn permit(taken: Result<Counted<Permit>, OverLimit>) -> Option<Permit> {
    match taken {
        Ok(Counted::Yes(permit)) => Some(permit),
        Ok(Counted::NoRoom) | Err(OverLimit) => None,
    }
}

#[test]
fn a_client_gets_its_limit_of_each_resource_and_another_client_its_own() {
    let (table, now) = (Arc::new(ClientTable::default()), Instant::now());
    let take = |number, resource| table.acquire(client(number), resource, 2, now);
    let held = [permit(take(1, Resource::Connections)), permit(take(1, Resource::Connections))];
    assert!(held.iter().all(Option::is_some));
    assert_eq!(take(1, Resource::Connections).unwrap_err(), OverLimit);
    let others = [permit(take(1, Resource::Handshakes)), permit(take(2, Resource::Connections))];
    assert!(others.iter().all(Option::is_some));
    drop(held);
    assert!(permit(take(1, Resource::Connections)).is_some());
    drop(others);
    assert_eq!(size(&table), (0, 0));
}

#[test]
fn requests_are_limited_by_their_rate() {
    let (table, now) = (ClientTable::default(), Instant::now());
    let rate = Rate::new(10, 1).unwrap();
    let later = now + Duration::from_millis(100);
    assert_eq!(table.count_request(client(1), rate, now), Ok(Counted::Yes(())));
    assert_eq!(table.count_request(client(1), rate, now), Err(OverLimit));
    assert_eq!(table.count_request(client(2), rate, now), Ok(Counted::Yes(())));
    assert_eq!(table.count_request(client(1), rate, later), Ok(Counted::Yes(())));
}

#[test]
fn a_full_table_admits_new_clients_uncounted_and_forgets_those_without_usage() {
    let (table, now) = (Arc::new(ClientTable::with_room_for(SHARDS)), Instant::now());
    let rate = Rate::new(1, 1).unwrap();
    // One client in each shard, which holds nothing and whose rate is forgotten after a second.
    let mut counted = 0;
    for number in 0..1000 {
        counted += usize::from(table.count_request(client(number), rate, now) == Ok(Counted::Yes(())));
    }
    assert_eq!((counted, size(&table).0), (SHARDS, SHARDS));
    let take = |number, now| table.acquire(client(number), Resource::Connections, 1, now).unwrap();
    assert!(matches!(take(2000, now), Counted::NoRoom) && matches!(take(2000, now), Counted::NoRoom));
    let later = now + Duration::from_secs(2);
    let held: Vec<_> = (3000..4000).map(|number| take(number, later)).collect();
    assert_eq!(size(&table), (SHARDS, SHARDS.try_into().unwrap()));
    // A client with usage is never forgotten.
    let much_later = later + Duration::from_secs(60);
    assert!((5000..6000).all(|number| matches!(take(number, much_later), Counted::NoRoom)));
    drop(held);
    assert_eq!(size(&table), (0, 0));
}

#[derive(Clone, Debug)]
enum Step {
    Acquire(u32, Resource),
    Release(usize),
    Request(u32),
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let resource = prop::sample::select(vec![Resource::Connections, Resource::Handshakes, Resource::Requests]);
    prop_oneof![
        3 => (0_u32..60, resource).prop_map(|(number, resource)| Step::Acquire(number, resource)),
        2 => any::<usize>().prop_map(Step::Release),
        1 => (0_u32..60).prop_map(Step::Request),
        1 => (0_u64..3000).prop_map(Step::Wait),
    ]
}

proptest! {
    #[test]
    fn the_table_keeps_to_its_size_and_to_the_limit_and_ends_empty(steps in prop::collection::vec(step(), 0..300)) {
        const ROOM: usize = 2 * SHARDS;
        const MAX: u32 = 3;
        let table = Arc::new(ClientTable::with_room_for(ROOM));
        let rate = Rate::new(2, 2).unwrap();
        let (mut held, mut now) = (Vec::new(), Instant::now());
        for step in steps {
            match step {
                Step::Acquire(number, resource) => {
                    let of_client = |one: &&Permit| one.client == client(number) && one.resource == resource;
                    let before = held.iter().filter(of_client).count();
                    match table.acquire(client(number), resource, MAX, now) {
                        Ok(Counted::Yes(permit)) => {
                            prop_assert!(before < MAX as usize);
                            held.push(permit);
                        }
                        Ok(Counted::NoRoom) => prop_assert_eq!(before, 0),
                        Err(OverLimit) => prop_assert_eq!(before, MAX as usize),
                    }
                }
                Step::Release(index) if !held.is_empty() => {
                    held.swap_remove(index % held.len());
                }
                Step::Release(_) => {}
                Step::Request(number) => {
                    // The result does not matter here, only the size of the table.
                    let _counted = table.count_request(client(number), rate, now);
                }
                Step::Wait(milliseconds) => now += Duration::from_millis(milliseconds),
            }
            let (clients, units) = size(&table);
            prop_assert!(clients <= ROOM);
            prop_assert_eq!(units as usize, held.len());
        }
        held.clear();
        prop_assert_eq!(size(&table).1, 0);
    }
}
