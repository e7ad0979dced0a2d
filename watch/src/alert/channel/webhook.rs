//! Webhooks: one POST in the format of the service.

use http::Uri;

use super::{
    http::{Http, field, secrets, words},
    send_error::SendError,
};
use crate::{
    alert::{
        notifier::Notification,
        settings::{Format, Webhook},
        text::{self, Context},
    },
    cluster_state::Millis,
};

/// The path of Alertmanager's API for alerts.
const ALERTS: &str = "/api/v2/alerts";

pub(super) async fn send(
    http: &Http,
    webhook: &Webhook,
    context: &Context,
    notification: &Notification,
    repeat: Millis,
    now: Millis,
) -> Result<(), SendError> {
    let given = webhook.url.expose();
    let (url, body) = match webhook.format {
        Format::Json => (given.to_owned(), text::document(context, notification, now)),
        Format::Slack => (given.to_owned(), text::slack(context, notification, now)),
        Format::Alertmanager => (alerts(given), text::alertmanager(context, notification, repeat, now)),
        Format::Ntfy => {
            let uri: Option<Uri> = given.parse().ok();
            let post = uri.and_then(|uri| text::ntfy(context, notification, &uri, now));
            post.ok_or_else(|| {
                SendError::permanent("the address has no topic at its end, as in https://ntfy.sh/topic")
            })?
        }
    };
    let mut request = http.post(&url).json(&body);
    let mut hidden = secrets(given);
    for (name, value) in &webhook.headers {
        if let Some((name, field)) = field(name, value) {
            request = request.header(name, field);
        }
        hidden.extend(words(value));
    }
    Http::send(request, &url, &hidden).await
}

fn alerts(url: &str) -> String {
    let url = url.trim_end_matches('/');
    if url.ends_with(ALERTS) { url.to_owned() } else { format!("{url}{ALERTS}") }
}
