use super::*;

const QUICKLY: Behaviour = Behaviour { is_hanging: Some(false), sent_in: Some(Duration::from_millis(3)) };
const SLOWLY: Behaviour = Behaviour { is_hanging: Some(false), sent_in: Some(Duration::from_secs(2)) };
const TIMED_OUT: Behaviour = Behaviour { is_hanging: Some(true), sent_in: None };

fn leased(id: i64, destination: i64) -> Leased {
    Leased { claimed: Claimed::sample(id, destination), destination: None }
}

/// Returns the end of a delivery that was sent.
fn change(one: &Leased) -> Change {
    Change { delivery: one.claimed.id(), destination: one.claimed.destination_id(), had_turn: true, is_queued: false }
}

/// The lanes of a node with a limit of eight, ready, and the next id of a delivery.
struct Node {
    lanes: Lanes,
    _handed: mpsc::UnboundedReceiver<Vec<Leased>>,
    next: i64,
}

impl Node {
    fn new() -> Self {
        let lanes = Lanes::default();
        let handed = lanes.open(Uuid::nil(), 8);
        lanes.plan(&[], true, 0);
        Self { lanes, _handed: handed, next: 1 }
    }

    /// Claims what these destinations have due, which is more than enough. Returns how many of each were claimed, and
    /// how many are sent.
    fn claim(&mut self, due: &[i64], most: usize) -> (Vec<usize>, Vec<Leased>) {
        let due: Vec<_> = due.iter().map(|id| DestinationId(*id)).collect();
        let plan = self.lanes.plan(&due, true, most);
        let mut claimed = Vec::new();
        for (id, slots) in &plan {
            for _ in 0..*slots {
                claimed.push(leased(self.next, id.0));
                self.next += 1;
            }
        }
        self.lanes.claimed(&plan, claimed.iter().map(|one| &one.claimed));
        let slots = |id: &DestinationId| plan.iter().find(|(of, _)| of == id).map_or(0, |(_, slots)| *slots);
        (due.iter().map(slots).collect(), self.lanes.start(claimed))
    }

    /// Ends the attempts, and records them.
    fn end(&self, sent: &[Leased], shown: Behaviour) -> Vec<Leased> {
        let mut next: Vec<_> =
            sent.iter().filter_map(|one| self.lanes.after(one.claimed.destination_id(), shown).0).collect();
        next.extend(self.record(sent));
        next
    }

    fn record(&self, ended: &[Leased]) -> Vec<Leased> {
        self.lanes.record_begins(ended.iter().map(|one| one.claimed.destination_id()));
        self.lanes.recorded(ended.iter().map(change))
    }

    fn take(&self, destination: i64) -> Option<Taken> {
        let mut taken = self.lanes.take()?;
        taken.lease(DestinationId(destination), 10).map(|_| taken)
    }
}

#[test]
fn destination_that_is_not_quick_has_as_many_leases_as_attempts() {
    let mut node = Node::new();
    let (counts, sent) = node.claim(&[1], 500);
    assert_eq!((counts, sent.len()), (vec![8], 8));
    assert!(node.take(1).is_none(), "older deliveries wait");
    node.end(&sent, SLOWLY);
    assert_eq!(node.claim(&[1], 500).0, [8]);
}

#[test]
fn quick_destination_has_leases_ahead_and_eight_attempts_at_once() {
    let mut node = Node::new();
    let (_, sent) = node.claim(&[1], 500);
    node.end(&sent, QUICKLY);
    let (counts, sent) = node.claim(&[1], 500);
    assert_eq!((counts, sent.len()), (vec![128], 8));
    // Without records, 32 attempts begin.
    let mut begun = sent.len();
    let mut ended = sent;
    let mut index = 0;
    while index < ended.len() {
        if let (Some(next), _) = node.lanes.after(DestinationId(1), QUICKLY) {
            begun += 1;
            ended.push(next);
        }
        index += 1;
    }
    assert_eq!(begun, 32);
    assert_eq!(node.record(&ended).len(), 8, "the record makes room");
}

#[test]
fn failure_returns_the_leases_ahead() {
    let mut node = Node::new();
    let (_, sent) = node.claim(&[1], 500);
    node.end(&sent, QUICKLY);
    let (_, sent) = node.claim(&[1], 500);
    assert_eq!(sent.len(), 8);
    let (next, returned) = node.lanes.after(DestinationId(1), Behaviour::default());
    assert!(next.is_none() || returned.len() == 119);
    assert_eq!(returned.len(), 120, "nothing waits while seven are under way and one may follow");
    assert!(node.take(1).is_none(), "new deliveries queue behind those that are returned");
}

#[test]
fn lane_that_has_sent_all_it_may_of_its_backlog_needs_records() {
    let mut node = Node::new();
    // So few free slots that a destination has no leases ahead.
    node.claim(&(100..=160).collect::<Vec<_>>(), 512);
    let (_, sent) = node.claim(&[1], 512);
    assert!((1..8).contains(&sent.len()), "{}", sent.len());
    for one in &sent {
        assert!(!node.lanes.need_records(), "an attempt is under way");
        assert!(node.lanes.after(one.claimed.destination_id(), QUICKLY).0.is_none());
    }
    assert!(node.lanes.need_records() && !node.lanes.wants_claim());
    node.record(&sent);
    assert!(!node.lanes.need_records() && node.lanes.wants_claim());
}

#[test]
fn look_goes_on_behind_destinations_that_have_no_room() {
    let node = Node::new();
    let hanging: Vec<_> = (1..=600).map(DestinationId).collect();
    node.lanes.set_hanging(&hanging.iter().copied().collect());
    let due = &hanging[..300];
    assert_eq!(node.lanes.plan(due, false, 512).len(), 256, "half of the slots");
    assert_eq!(node.lanes.next_claim().0, DestinationId(256));
    assert!(node.lanes.plan(&hanging[256..], false, 512).is_empty());
    assert_eq!(node.lanes.next_claim().0, DestinationId(600));
}

#[test]
fn new_delivery_queues_behind_older_ones_and_where_the_lane_is_full() {
    let mut node = Node::new();
    let taken: Vec<_> = (0..8).map(|_| node.take(1).expect("a free slot")).collect();
    assert!(node.take(1).is_none(), "all slots are taken");
    drop(taken);
    assert!(node.take(1).is_none(), "a delivery has queued, and comes first");
    node.claim(&[], 500);
    assert!(node.take(1).is_some());
    let mut large = node.lanes.take().expect("open");
    assert!(large.lease(DestinationId(2), 1 << 20).is_none(), "a large message is not kept in memory");
}

#[test]
fn nothing_is_leased_at_its_start_before_the_first_look_and_after_the_close() {
    let lanes = Lanes::default();
    assert!(lanes.take().is_none());
    let _handed = lanes.open(Uuid::nil(), 8);
    assert!(lanes.take().is_none());
    lanes.plan(&[], true, 0);
    assert!(lanes.take().is_some());
    lanes.close();
    assert!(lanes.take().is_none());
}

#[test]
fn leases_without_a_commit_are_returned_and_looked_for() {
    let node = Node::new();
    let mut taken = node.take(1).expect("a slot");
    taken.note([leased(5, 1)].into_iter());
    assert_eq!(node.lanes.ids(), [DeliveryId(5)].into());
    drop(taken);
    assert!(node.lanes.ids().is_empty() && node.lanes.take_lost() && !node.lanes.take_lost());
    let state = node.lanes.state();
    assert_eq!((state.leased, state.ahead), (0, 0));
}

#[test]
fn delivery_stays_known_when_an_earlier_one_with_its_number_was_rolled_back() {
    let node = Node::new();
    let [mut first, mut second] = [node.take(1).expect("a slot"), node.take(1).expect("a slot")];
    first.note([leased(5, 1)].into_iter());
    second.note([leased(5, 1)].into_iter());
    second.hand_over();
    drop(first);
    assert_eq!(node.lanes.ids(), [DeliveryId(5)].into());
    node.record(&[leased(5, 1)]);
    assert!(node.lanes.ids().is_empty());
}

#[test]
fn delivery_stays_known_when_the_transaction_that_gives_it_back_claims_it_again() {
    let mut node = Node::new();
    let (_, sent) = node.claim(&[1], 1);
    let plan = [(DestinationId(1), 1)];
    node.lanes.record_begins([DestinationId(1)].into_iter());
    assert_eq!(node.lanes.plan(&[DestinationId(1)], true, 1), plan);
    node.lanes.claimed(&plan, sent.iter().map(|one| &one.claimed));
    node.lanes.recorded(sent.iter().map(change));
    assert_eq!(node.lanes.ids(), [sent[0].claimed.id()].into());
}

#[test]
fn hanging_destinations_leave_half_of_the_slots() {
    let mut node = Node::new();
    let ids: Vec<_> = (1..=600).collect();
    node.lanes.set_hanging(&ids.iter().map(|id| DestinationId(*id)).collect());
    let (counts, sent) = node.claim(&ids, 512);
    assert_eq!((counts.iter().sum::<usize>(), sent.len()), (256, 256), "one of each, and half of the slots");
    assert_eq!(node.claim(&[700], 512).0, [8], "the rest is for others");
    node.end(&sent[..1], SLOWLY);
    assert_eq!(node.claim(&[1], 512).0, [8], "a destination that responds again has all of its slots");
}

#[test]
fn hanging_destination_stays_so_after_an_attempt_that_tells_nothing() {
    let mut node = Node::new();
    let (_, sent) = node.claim(&[1], 1);
    node.end(&sent, TIMED_OUT);
    let (counts, sent) = node.claim(&[1], 500);
    assert_eq!(counts, [1]);
    node.end(&sent, Behaviour::default());
    assert_eq!(node.claim(&[1], 500).0, [1]);
}

#[test]
fn destinations_are_claimed_in_rotation() {
    let mut node = Node::new();
    assert_eq!(node.lanes.next_claim().0, DestinationId(0));
    assert_eq!(node.claim(&[1, 2, 3], 12).0, [8, 4, 0]);
    assert_eq!(node.lanes.next_claim().0, DestinationId(2));
    assert_eq!(node.claim(&[3, 1, 2], 12).0, [8, 0, 4]);
    assert_eq!(node.lanes.next_claim().0, DestinationId(2));
}

#[test]
fn node_without_a_free_slot_wants_no_claim_that_it_may_not_make() {
    let mut node = Node::new();
    let (_, sent) = node.claim(&[1], 500);
    node.end(&sent, QUICKLY);
    assert_eq!(node.claim(&[1], 20).0, [20]);
    assert!(node.lanes.wants_claim());
    let due: Vec<_> = (2..=600).chain([1]).collect();
    assert_eq!(node.claim(&due, 504).0.iter().sum::<usize>(), 504);
    assert_eq!(node.lanes.next_claim().1, 0);
    assert!(!node.lanes.wants_claim());
}

#[test]
fn new_deliveries_queue_behind_older_ones_whose_claim_failed() {
    let node = Node::new();
    let plan = node.lanes.plan(&[DestinationId(1)], true, 500);
    node.lanes.claim_failed(&plan);
    assert!(node.take(1).is_none());
    assert!(node.lanes.wants_claim());
    assert!(node.lanes.take_lost());
}

#[test]
fn five_hundred_and_twelve_deliveries_are_in_flight() {
    let mut node = Node::new();
    let ids: Vec<_> = (1..=600).collect();
    let (counts, sent) = node.claim(&ids, node.lanes.next_claim().1);
    assert_eq!((counts.iter().sum::<usize>(), sent.len()), (512, 512));
    assert_eq!(node.lanes.next_claim().1, 0);
    assert!(node.take(601).is_none());
    node.end(&sent[..3], SLOWLY);
    assert_eq!(node.lanes.next_claim().1, 3);
}

#[test]
fn destinations_that_are_slow_at_once_leave_slots_to_another() {
    let mut node = Node::new();
    let ids: Vec<_> = (1..=100).collect();
    let (mut counts, mut sent) = node.claim(&ids, 512);
    assert!(counts.iter().all(|count| *count > 0), "each has a slot: {counts:?}");
    // Each attempt ends in turn, and the slot that it leaves is claimed again where it may be.
    for _ in 0..5 {
        for one in std::mem::take(&mut sent) {
            node.end(&[one], SLOWLY);
            let (_, next) = node.claim(&ids, node.lanes.next_claim().1);
            sent.extend(next);
        }
    }
    assert_eq!(node.lanes.next_claim().1, 512 - sent.len());
    counts = ids.iter().map(|id| sent.iter().filter(|one| one.claimed.destination_id().0 == *id).count()).collect();
    assert!(counts.iter().all(|count| (3..=5).contains(count)), "all have about as many: {counts:?}");
    assert_eq!(node.claim(&[101], 512).0, [4], "a part of the free ones");
}

#[test]
fn destination_has_all_of_a_high_limit_while_many_slots_are_free() {
    let lanes = Lanes::default();
    let _handed = lanes.open(Uuid::nil(), 64);
    let due: Vec<_> = (1..=7).map(DestinationId).collect();
    let slots: Vec<_> = lanes.plan(&due, true, 512).into_iter().map(|(_, slots)| slots).collect();
    assert_eq!(slots, [64, 64, 64, 64, 64, 64, 64]);
    assert_eq!(lanes.plan(&[DestinationId(8)], true, 512), [(DestinationId(8), 32)], "64 are free");
}

#[test]
fn nodes_share_the_limit_of_each_destination_exactly() {
    for count in 1..=12 {
        for id in [1, 2, 3, 77] {
            let share = |rank| {
                let node = Node::new();
                node.lanes.set_nodes(count, rank);
                node.lanes.state().share(DestinationId(id))
            };
            assert_eq!((0..count).map(share).sum::<usize>(), 8, "{count} nodes, destination {id}");
        }
    }
}

#[test]
fn share_that_shrinks_leaves_the_counts_right() {
    let mut node = Node::new();
    let (_, sent) = node.claim(&[1, 2], 500);
    node.lanes.set_nodes(3, 1);
    node.end(&sent, SLOWLY);
    node.lanes.set_nodes(1, 0);
    let state = node.lanes.state();
    assert_eq!((state.leased, state.ahead, state.unrecorded), (0, 0, 0));
}

#[test]
fn rows_that_may_be_committed_without_known_ids_are_told() {
    let node = Node::new();
    let mut expected = node.take(1).expect("a slot");
    assert!(node.lanes.all_ids().is_some());
    expected.expect_rows();
    assert!(node.lanes.all_ids().is_none());
    expected.note([leased(5, 1)].into_iter());
    assert_eq!(node.lanes.all_ids(), Some([DeliveryId(5)].into()));
    let mut lost = node.take(1).expect("a slot");
    lost.expect_rows();
    drop(lost);
    assert!(node.lanes.all_ids().is_some() && node.lanes.take_lost());
}

#[test]
fn quick_destination_whose_leases_are_used_up_is_claimed_from_beside_a_straggler() {
    let mut node = Node::new();
    // So few free slots that a destination has no leases ahead.
    node.claim(&(100..=155).collect::<Vec<_>>(), 512);
    let (_, sent) = node.claim(&[1], 512);
    assert!(sent.len() > 1, "{}", sent.len());
    node.end(&sent[1..], QUICKLY);
    assert!(node.lanes.wants_claim(), "one attempt takes long, and the others have ended");
}

#[test]
fn leases_of_hanging_destinations_are_counted_as_they_change() {
    let mut node = Node::new();
    let count = |node: &Node| {
        let state = node.lanes.state();
        assert_eq!(
            state.hanging,
            state.lanes.values().filter(|one| one.is_hanging).map(|one| one.leased).sum::<usize>()
        );
        state.hanging
    };
    let (_, sent) = node.claim(&[1, 2], 512);
    assert_eq!(count(&node), 0);
    node.lanes.after(DestinationId(1), TIMED_OUT);
    assert_eq!(count(&node), 8);
    node.record(&sent[..1]);
    assert_eq!(count(&node), 7);
    node.lanes.set_hanging(&[DestinationId(2)].into());
    assert_eq!(count(&node), 8);
    node.end(&sent[8..9], SLOWLY);
    assert_eq!(count(&node), 0);
}
