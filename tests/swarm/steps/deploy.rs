//! Steps 3 and 4: the stack, and its first visitors.

use std::time::Duration;

use crate::journey::Journey;

/// Step 3.
pub(crate) async fn stack(journey: &mut Journey) {
    let (_, warnings) = journey.block("deploy").await;
    println!("{warnings}");
    journey.cluster.whole(Duration::from_secs(120)).await;
}

/// Step 4.
pub(crate) async fn visit(journey: &mut Journey) {
    println!("{:?}", journey.block("try").await);
}
