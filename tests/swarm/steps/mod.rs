//! The steps of the journey, in order.

mod alerts;
mod create;
mod deploy;
mod edges;
mod end;
mod firewall;
mod machines;
mod nodes;
mod partition;
mod updates;

use std::future::Future;
use std::pin::Pin;

use crate::journey::Journey;

/// A step of the journey.
pub(crate) struct Step {
    pub(crate) name: &'static str,
    /// The steps that must have passed.
    pub(crate) needs: &'static [&'static str],
    pub(crate) run: for<'a> fn(&'a mut Journey) -> Pin<Box<dyn Future<Output = ()> + 'a>>,
}

const BUILD: &str = "step_0_the_image_is_built";
const SWARM: &str = "step_1_three_machines_become_a_swarm";
const IMAGE: &str = "step_2_every_node_has_the_image";
const STACK: &str = "step_3_the_stack_is_deployed";
const VISIT: &str = "step_4_every_address_counts";

/// All steps.
pub(crate) const STEPS: &[Step] = &[
    Step { name: BUILD, needs: &[], run: |journey| Box::pin(create::build_image(journey)) },
    Step { name: SWARM, needs: &[BUILD], run: |journey| Box::pin(create::join_nodes(journey)) },
    Step { name: IMAGE, needs: &[SWARM], run: |journey| Box::pin(create::distribute_image(journey)) },
    Step { name: STACK, needs: &[IMAGE], run: |journey| Box::pin(deploy::deploy_stack(journey)) },
    Step { name: VISIT, needs: &[STACK], run: |journey| Box::pin(deploy::visit_addresses(journey)) },
    Step {
        name: "step_5_the_firewall_closes_ports_and_leaves_the_site_open",
        needs: &[VISIT],
        run: |journey| Box::pin(firewall::close_ports(journey)),
    },
    Step {
        name: "step_5_visitors_by_dns_do_not_notice_a_killed_edge",
        needs: &[VISIT],
        run: |journey| Box::pin(edges::kill(journey)),
    },
    Step {
        name: "step_5_certificates_are_installed_and_renewed_under_load",
        needs: &[VISIT],
        run: |journey| Box::pin(edges::install_certificates(journey)),
    },
    Step {
        name: "step_6_alerts_are_sent_by_mail_and_sms",
        needs: &[VISIT],
        run: |journey| Box::pin(alerts::set_up(journey)),
    },
    Step {
        name: "step_6_any_machine_loses_power_and_returns",
        needs: &[VISIT],
        run: |journey| Box::pin(machines::lose_power(journey)),
    },
    Step {
        name: "step_6_any_machine_is_drained_and_returns",
        needs: &[VISIT],
        run: |journey| Box::pin(machines::drain(journey)),
    },
    Step {
        name: "step_7_a_new_version_is_deployed_and_rolled_back_under_load",
        needs: &[VISIT],
        run: |journey| Box::pin(updates::upgrade(journey)),
    },
    Step {
        name: "step_7_a_version_that_does_not_start_is_rolled_back",
        needs: &[VISIT],
        run: |journey| Box::pin(updates::upgrade_to_bad_version(journey)),
    },
    Step {
        name: "step_7_redis_is_updated_one_by_one",
        needs: &[VISIT],
        run: |journey| Box::pin(updates::replace_redis(journey)),
    },
    Step {
        name: "step_7_replicas_scale_from_six_to_twenty_and_two_under_load",
        needs: &[VISIT],
        run: |journey| Box::pin(updates::scale_web(journey)),
    },
    Step {
        name: "step_8_a_node_is_cut_off_for_20_s",
        needs: &[VISIT],
        run: |journey| Box::pin(partition::isolate(journey)),
    },
    Step {
        name: "step_9_a_node_is_replaced_by_a_new_one",
        needs: &[VISIT],
        run: |journey| Box::pin(nodes::replace(journey)),
    },
    Step {
        name: "step_9_the_count_survives_the_loss_of_two_of_three_machines",
        needs: &[VISIT],
        run: |journey| Box::pin(nodes::lose_quorum(journey)),
    },
    Step {
        name: "step_9_the_stack_is_stopped_and_restarted_with_its_count",
        needs: &[VISIT],
        run: |journey| Box::pin(nodes::restart_stack(journey)),
    },
    Step { name: "step_10_nothing_is_left_behind", needs: &[VISIT], run: |journey| Box::pin(end::remove(journey)) },
];
