//! SMS through the form API of Twilio, which others copy: one request for each number, answered with 201.

use tokio::time::Instant;

use super::{
    http::Http,
    recipients::{combined, to_each},
    send_error::SendError,
};
use crate::alert::{
    notifier::Notification,
    settings::Sms,
    text::{self, Context},
};

pub(super) async fn send(
    http: &Http,
    sms: &Sms,
    context: &Context,
    notification: &Notification,
    end: Instant,
) -> Result<(), SendError> {
    let text = text::sms(context, notification);
    let base = sms.base.to_string();
    let url = format!("{}/2010-04-01/Accounts/{}/Messages.json", base.trim_end_matches('/'), sms.account);
    let to: Vec<String> = sms.to.iter().filter(|to| notification.is_for(to)).cloned().collect();
    let outcomes = to_each(&to, end, |to| {
        let form = [("To", to.as_str()), ("From", sms.from.as_str()), ("Body", text.as_str())];
        let form = if sms.is_service() { [form[0], ("MessagingServiceSid", sms.from.as_str()), form[2]] } else { form };
        let request = http.post(&url).basic_auth(&sms.account, Some(sms.token.expose())).form(&form);
        let secrets = [sms.token.expose()];
        let url = &url;
        async move { Http::send(request, url, &secrets).await }
    });
    combined(&to, outcomes.await)
}
