//! What happens, in this order.

mod deploy;
mod found;

use std::future::Future;
use std::pin::Pin;

use crate::journey::Journey;

/// A step of the journey.
pub(crate) struct Step {
    pub(crate) name: &'static str,
    /// The steps without which it makes no sense.
    pub(crate) needs: &'static [&'static str],
    pub(crate) run: for<'a> fn(&'a mut Journey) -> Pin<Box<dyn Future<Output = ()> + 'a>>,
}

const BUILD: &str = "step_0_the_image_is_built";
const SWARM: &str = "step_1_three_machines_become_a_swarm";
const IMAGE: &str = "step_2_the_image_is_built_and_every_node_has_it";
const STACK: &str = "step_3_the_stack_is_deployed";
const VISIT: &str = "step_4_every_address_counts_on";

/// All of them.
pub(crate) const STEPS: &[Step] = &[
    Step { name: BUILD, needs: &[], run: |journey| Box::pin(found::build(journey)) },
    Step { name: SWARM, needs: &[BUILD], run: |journey| Box::pin(found::swarm(journey)) },
    Step { name: IMAGE, needs: &[SWARM], run: |journey| Box::pin(found::image(journey)) },
    Step { name: STACK, needs: &[IMAGE], run: |journey| Box::pin(deploy::stack(journey)) },
    Step { name: VISIT, needs: &[STACK], run: |journey| Box::pin(deploy::visit(journey)) },
];
