//! Pure: alerts that are muted for some time.

use super::condition::Condition;
use crate::cluster_state::Millis;

/// Mutes alerts until a time. All patterns that are given must match; `*` matches any text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Silence {
    /// Pattern for the rule's name.
    pub rule: Option<String>,
    /// Pattern for the node's name or id.
    pub node: Option<String>,
    /// Pattern for the service's name or id.
    pub service: Option<String>,
    /// Pattern for the task's name or id.
    pub task: Option<String>,
    /// When the silence ends.
    pub until: Millis,
    /// The reason, for readers of the file.
    pub comment: Option<String>,
}

impl Silence {
    fn covers(&self, condition: &Condition) -> bool {
        let subject = &condition.subject;
        let either = |pattern: &Option<String>, id: &Option<String>, name: &Option<String>| {
            let Some(pattern) = pattern else { return true };
            [id, name].into_iter().flatten().any(|text| matches(pattern, text))
        };
        self.rule.as_ref().is_none_or(|pattern| matches(pattern, condition.rule.name()))
            && either(&self.node, &subject.node, &subject.node_name)
            && either(&self.service, &subject.service, &subject.service_name)
            && either(&self.task, &subject.task, &subject.task_name)
    }
}

/// Returns until when a condition is silenced; `None` if it is not.
#[must_use]
pub fn until(silences: &[Silence], condition: &Condition, now: Millis) -> Option<Millis> {
    let running = silences.iter().filter(|silence| silence.until > now);
    running.filter(|silence| silence.covers(condition)).map(|silence| silence.until).max()
}

/// Whether `text` matches `pattern`, in which `*` matches any text.
fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        alert::{condition::Subject, rule::Rule},
        cluster_state::Severity,
    };

    #[test]
    fn a_star_matches_any_text() {
        for (pattern, text, expected) in [
            ("node_down", "node_down", true),
            ("node_down", "node_down2", false),
            ("node_*", "node_down", true),
            ("*", "", true),
            ("*_web", "stack_web", true),
            ("*_web", "stack_web2", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("aa*a", "aa", false),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn a_silence_ends_and_needs_all_its_patterns_to_match() {
        let mut condition = Condition::new(Rule::NodeDown, "n2", Severity::Critical, "");
        condition.subject =
            Subject { node: Some("n2".into()), node_name: Some("serveur18".into()), ..Subject::default() };
        let node = |name: &str, until| Silence { node: Some(name.into()), until, ..Silence::default() };
        assert_eq!(until(&[node("serveur18", 10), node("n2", 12)], &condition, 9), Some(12));
        assert_eq!(until(&[node("serveur18", 10)], &condition, 10), None);
        assert_eq!(until(&[node("serveur17", 10)], &condition, 9), None);
        let other = Silence { rule: Some("disk".into()), ..node("serveur18", 10) };
        assert_eq!(until(&[other], &condition, 9), None);
        // A pattern for services does not match an alert about no service.
        let service = Silence { service: Some("*".into()), until: 10, ..Silence::default() };
        assert_eq!(until(&[service], &condition, 9), None);
    }
}
