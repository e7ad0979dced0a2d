use std::sync::Arc;

use super::{admin, busy_edge, endpoint, get, pool, route, seconds_ago, text};
use crate::{admin::Reload, config::HostMatch, upstream::EndpointState};

#[tokio::test]
async fn the_page_names_states_and_escapes_markup() {
    let bad = endpoint(9, EndpointState::Ejected, "<script>alert(1)</script> & \"more\"");
    let admin = admin(vec![pool("<b>web", &[bad], Some("<i>"))], vec![route(HostMatch::Any, "/", 0)]);
    admin.reload.store(Some(Arc::new(Reload { at: seconds_ago(60), error: Some("line 3: <oops>".to_owned()) })));
    let response = get(&admin, "/");
    let policy = response.headers()["content-security-policy"].to_str().unwrap().to_owned();
    let page = text(response).await;
    assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    assert!(!page.contains("<script>alert") && !page.contains("<b>web") && !page.contains("<oops>"), "{page}");
    for part in [
        "&lt;script&gt;alert(1)&lt;/script&gt; &amp; &quot;more&quot;",
        "<title>Not ready · edge</title>",
        ">ejected</span>",
        "0 of 1 usable",
        "pool &lt;b&gt;web: none of 1 endpoints is usable",
        "the last reload failed",
    ] {
        assert!(page.contains(part), "{part} in\n{page}");
    }
    // The page loads nothing from other servers.
    assert!(!page.contains("http://") && !page.contains("https://"));
    assert_eq!(page.matches("<tr>").count(), page.matches("</tr>").count());
}

#[tokio::test]
async fn the_page_shows_why_clients_were_refused() {
    let page = text(get(&busy_edge(), "/")).await;
    let refused = page.split_once("<h2>Refused clients</h2>").unwrap().1;
    assert!(refused.contains(">handshake failed</span>") && !refused.contains("head timeout"), "{refused}");
}

#[tokio::test]
async fn the_page_shows_the_state_and_the_numbers() {
    let page = text(get(&busy_edge(), "/")).await;
    let main = page.split_once("<main").unwrap().1.split_once("<section><h2>Routes").unwrap().0;
    insta::assert_snapshot!(main, @r##"
 data-now="1790000000000">
<header><h1>edge</h1><strong class="state good">Ready</strong>
<p>up 1 d 3 h · version 0.1.0</p></header>
<dl class="tiles">
<div><dt>Requests</dt><dd>1,500<small><span class="rate" data-rate="requests" data-value="1500"></span></small></dd></div>
<div><dt>5xx responses</dt><dd>6<small><span class="rate" data-rate="failed" data-value="6"></span></small></dd></div>
<div><dt>In flight</dt><dd>4<small>to endpoints</small></dd></div>
<div><dt>Connections</dt><dd>0<small><span class="rate" data-rate="accepted" data-value="0"></span></small></dd></div>
<div><dt>Sent</dt><dd>12.3 MB<small><span class="rate" data-rate="sent" data-value="12345678" data-bytes></span></small></dd></div>
<div><dt>Received</dt><dd>0 B<small><span class="rate" data-rate="received" data-value="0" data-bytes></span></small></dd></div>
</dl>
<section><h2>Pool web
 <span class="state warn">1 of 2 usable</span></h2>
<p class="facts">1,500 requests <span class="rate" data-rate="pool:web" data-value="1500"></span> · latency p50 4.0 ms p99 9.9 ms · 0 retries · 0 without an endpoint · round robin</p>
<div class="responses"><svg viewBox="0 0 100 1" preserveAspectRatio="none" aria-hidden="true"><rect class="c1xx" x="0.000" width="0.000" height="1"/><rect class="c2xx" x="0.000" width="99.600" height="1"/><rect class="c3xx" x="99.600" width="0.000" height="1"/><rect class="c4xx" x="99.600" width="0.000" height="1"/><rect class="c5xx" x="99.600" width="0.400" height="1"/></svg><ul><li class="c2xx">2xx 1,494 <small>99.60 %</small></li><li class="c5xx">5xx 6 <small>0.40 %</small></li></ul></div>
<div class="scroll"><table><thead><tr><th scope="col" class="">Endpoint</th><th scope="col" class="">State</th><th scope="col" class="">Since</th><th scope="col" class="n">In flight</th><th scope="col" class="n">Requests</th><th scope="col" class="n">4xx</th><th scope="col" class="n">5xx</th><th scope="col" class="n">Connect failures</th><th scope="col" class="n">Resets</th><th scope="col" class="n">Timeouts</th><th scope="col" class="n">Connections</th><th scope="col" class="n">Reused</th></tr></thead><tbody>
<tr><td class="" data-title="Endpoint"><span>10.0.0.1:8000 <small>tasks.web:8000</small></span></td><td class="" data-title="State"><span><span class="state good">healthy</span> <small>check passed</small></span></td><td class="" data-title="Since"><span><time datetime="2026-09-21T13:11:40Z" title="2026-09-21T13:11:40Z">1 h 1 min ago</time></span></td><td class="n" data-title="In flight"><span>4</span></td><td class="n" data-title="Requests"><span>1,500</span></td><td class="n" data-title="4xx"><span>0</span></td><td class="n" data-title="5xx"><span>0</span></td><td class="n" data-title="Connect failures"><span>0</span></td><td class="n" data-title="Resets"><span>0</span></td><td class="n" data-title="Timeouts"><span>0</span></td><td class="n" data-title="Connections"><span>0</span></td><td class="n" data-title="Reused"><span>100 %</span></td></tr>
<tr><td class="" data-title="Endpoint"><span>10.0.0.2:8000 <small>tasks.web:8000</small></span></td><td class="" data-title="State"><span><span class="state bad">unhealthy</span> <small>connection refused</small></span></td><td class="" data-title="Since"><span><time datetime="2026-09-21T13:11:40Z" title="2026-09-21T13:11:40Z">1 h 1 min ago</time></span></td><td class="n" data-title="In flight"><span>0</span></td><td class="n" data-title="Requests"><span>0</span></td><td class="n" data-title="4xx"><span>0</span></td><td class="n" data-title="5xx"><span>0</span></td><td class="n" data-title="Connect failures"><span><b class="alarming">7</b></span></td><td class="n" data-title="Resets"><span>0</span></td><td class="n" data-title="Timeouts"><span>0</span></td><td class="n" data-title="Connections"><span>0</span></td><td class="n" data-title="Reused"><span>–</span></td></tr>
</tbody></table></div>
<div class="scroll"><table><thead><tr><th scope="col" class="">Source</th><th scope="col" class="n">Endpoints</th><th scope="col" class="">Last resolved</th><th scope="col" class="">Problem</th></tr></thead><tbody>
<tr><td class="" data-title="Source"><span>tasks.web:8000</span></td><td class="n" data-title="Endpoints"><span>2</span></td><td class="" data-title="Last resolved"><span><time datetime="2026-09-21T14:13:18Z" title="2026-09-21T14:13:18Z">2 s ago</time></span></td><td class="" data-title="Problem"><span>none</span></td></tr>
</tbody></table></div>
</section>
"##);
}
