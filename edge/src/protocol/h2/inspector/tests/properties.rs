//! Properties of any bytes.

use proptest::prelude::*;

use super::*;

/// Frames of every kind, valid and not.
fn any_frame() -> impl Strategy<Value = Vec<u8>> {
    let text = || prop::collection::vec(prop_oneof![9 => b'a'..=b'z', 1 => any::<u8>()], 0..12);
    let field = (any::<u8>(), text(), text(), 0..70_usize, any::<bool>());
    let block = prop::collection::vec(field, 0..6).prop_map(|fields| {
        let mut block = b"\x82\x86\x84".to_vec();
        for (choice, name, value, index, code) in fields {
            match choice % 8 {
                0 => size(&mut block, index * 64),
                1 => indexed(&mut block, index),
                2 => literal(&mut block, Indexing::Without, Ok(index + 1), &value, code),
                3 => literal(&mut block, Indexing::Never, Err(&name), &value, code),
                _ => literal(&mut block, Indexing::Incremental, Err(&name), &value, code),
            }
        }
        block
    });
    prop_oneof![
        6 => (block.clone(), 0..40_u32).prop_map(|(block, stream)| headers(2 * stream + 1, &block)),
        2 => (block, 0..40_u32, any::<prop::sample::Index>()).prop_map(|(block, stream, at)| {
            let (first, second) = block.split_at(at.index(block.len()));
            let (first, second) = (frame(1, 1, 2 * stream + 1, first), frame(9, 4, 2 * stream + 1, second));
            [first, second].concat()
        }),
        2 => (any::<u8>(), any::<u8>(), any::<u32>(), text())
            .prop_map(|(kind, flags, stream, payload)| frame(kind, flags, stream, &payload)),
    ]
}

proptest! {
    #[test]
    fn the_output_does_not_depend_on_how_the_bytes_arrive(
        frames in prop::collection::vec(any_frame(), 0..12),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let bytes = [PREFACE.to_vec(), frames.concat()].concat();
        let mut whole = inspector();
        let expected = through(&mut whole, [&bytes[..]]);
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len())).collect();
        cuts.sort_unstable();
        let ends = cuts.iter().copied().chain([bytes.len()]);
        let pieces = [0].into_iter().chain(cuts.iter().copied()).zip(ends).map(|(start, end)| &bytes[start..end]);
        let mut parts = inspector();
        prop_assert_eq!(&through(&mut parts, pieces), &expected);
        let mut single = inspector();
        prop_assert_eq!(&through(&mut single, bytes.chunks(1)), &expected);
    }

    #[test]
    fn what_h2_reads_has_no_fault(frames in prop::collection::vec(any_frame(), 0..12)) {
        let (first, read) = inspected(&frames.concat());
        let (_, again) = inspected(&read);
        if !first.is_ended() {
            prop_assert_eq!(&again, &read, "it passes as it came");
        }
    }

    #[test]
    fn no_bytes_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        block in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        inspected(&bytes);
        inspected(&headers(1, &block));
    }
}
