//! The messages that watch sends, and what they are about according to their wording.

use std::time::SystemTime;

/// The subject of a mail, or the text of an SMS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// When it was received.
    pub at: SystemTime,
    /// Its wording.
    pub text: String,
}

impl Message {
    /// Returns whether `watch test-alert` sent it.
    #[must_use]
    pub fn is_test(&self) -> bool {
        self.text.contains("this is a test")
    }

    /// Returns whether it reports that `node` is down.
    #[must_use]
    pub fn reports_down(&self, node: &str) -> bool {
        self.text.contains(node) && self.text.contains("is down") && !self.is_resolved()
    }

    /// Returns whether it reports that `node` is no longer down.
    #[must_use]
    pub fn reports_back(&self, node: &str) -> bool {
        self.text.contains(node) && self.text.contains("is up again") && self.is_resolved()
    }

    fn is_resolved(&self) -> bool {
        self.text.contains("RESOLVED")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> Message {
        Message { at: SystemTime::UNIX_EPOCH, text: text.to_owned() }
    }

    #[test]
    fn the_loss_of_a_node_is_distinguished_from_its_return_and_from_other_nodes() {
        let down = message("[stackdemo] CRITICAL: serveur18 (10.10.25.166) is down: heartbeat failure");
        let back = message("stackdemo RESOLVED: serveur18 (10.10.25.166) is up again after 3 min");
        assert!(down.reports_down("serveur18") && !down.reports_back("serveur18"));
        assert!(back.reports_back("serveur18") && !back.reports_down("serveur18"));
        for other in [&down, &back] {
            assert!(!other.reports_down("serveur17") && !other.reports_back("serveur17") && !other.is_test());
        }
    }

    #[test]
    fn an_alert_about_a_nodes_disk_reports_neither_its_loss_nor_its_return() {
        for label in ["WARNING", "RESOLVED"] {
            let disk =
                message(&format!("[stackdemo] {label}: serveur18: 9.1 GiB of the disk's 100.0 GiB are free (9 %)"));
            assert!(!disk.reports_down("serveur18") && !disk.reports_back("serveur18") && !disk.is_test(), "{disk:?}");
        }
    }

    #[test]
    fn the_test_message_is_recognised_in_a_mail_and_in_an_sms() {
        for text in ["[stackdemo] INFO: this is a test, nothing is wrong", "stackdemo INFO: this is a test, nothing"] {
            assert!(message(text).is_test(), "{text}");
        }
    }
}
