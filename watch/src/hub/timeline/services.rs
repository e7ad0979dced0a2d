//! Changes of services and their updates.

use super::event::event;
use crate::cluster_state::{ClusterState, Event, Image, Mode, Service, Severity, Update, UpdateState};

pub(super) fn events(before: &ClusterState, after: &ClusterState, events: &mut Vec<Event>) {
    for (id, service) in &after.services {
        let mut found = Vec::new();
        match before.services.get(id) {
            None => found.push((Severity::Info, "was created".to_owned())),
            Some(before) => changes(before, service, &mut found),
        }
        events
            .extend(found.into_iter().map(|(severity, what)| about(id, severity, format!("{} {what}", service.name))));
    }
    for (id, service) in before.services.iter().filter(|(id, _service)| !after.services.contains_key(*id)) {
        events.push(about(id, Severity::Info, format!("{} was removed", service.name)));
    }
}

fn about(id: &str, severity: Severity, text: String) -> Event {
    Event { service: Some(id.to_owned()), ..event(severity, text) }
}

fn changes(before: &Service, after: &Service, found: &mut Vec<(Severity, String)>) {
    if after.mode == Mode::Replicated && before.desired != after.desired {
        found.push((Severity::Info, format!("is scaled from {} to {}", before.desired, after.desired)));
    }
    if before.image != after.image {
        let (old, new) = (tag(&before.image), tag(&after.image));
        found.push((Severity::Info, format!("changes from {old} to {new}")));
    }
    let same = |update: &Update| (update.state, update.started_at);
    if before.update.as_ref().map(same) != after.update.as_ref().map(same)
        && let Some(update) = &after.update
    {
        let message = if update.message.is_empty() { String::new() } else { format!(": {}", update.message) };
        found.push(match update.state {
            UpdateState::Updating => (Severity::Info, "is being updated".to_owned()),
            UpdateState::Completed => (Severity::Info, "is updated".to_owned()),
            UpdateState::Paused => {
                (Severity::Critical, format!("has a paused update that waits for an operator{message}"))
            }
            UpdateState::RollbackStarted => (Severity::Warning, format!("is being rolled back{message}")),
            UpdateState::RollbackCompleted => (Severity::Warning, "is rolled back".to_owned()),
            UpdateState::RollbackPaused => {
                (Severity::Critical, format!("has a paused rollback that waits for an operator{message}"))
            }
            UpdateState::Unknown => (Severity::Warning, format!("has an update in an unknown state{message}")),
        });
    }
}

/// The name, tag and digest of an image.
fn tag(image: &Image) -> String {
    let digest = image.digest.as_ref().map(|digest| format!("@{digest}")).unwrap_or_default();
    match &image.tag {
        Some(tag) => format!("{}:{tag}{digest}", image.name),
        None => format!("{}{digest}", image.name),
    }
}
