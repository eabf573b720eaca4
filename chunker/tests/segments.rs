//! Segments from end to end: sealed, coded, named, and opened again from what is left of them.

use domicile_chunker::*;
use domicile_types::{CodeProfile, DataId, SuiteId, TenantId, UploadId};

fn context() -> PartContext {
    PartContext {
        tenant: TenantId::parse("tenant-a").unwrap(),
        data: DataId::from_bytes([1; 16]),
        upload: UploadId::from_bytes([2; 16]),
        part: PART_WHOLE,
    }
}

#[test]
fn a_sealed_segment_opens() {
    let key = DataKey::from_bytes([3; 32]);
    let plain: Vec<u8> = (0..5_000_000u32).map(|i| (i % 251) as u8).collect();
    for profile in [CodeProfile::RS_4_2, CodeProfile::RS_8_4] {
        let pool = BufferPool::new(sealed_bytes_max(profile), 2);
        let bytes = plain.len().min(segment_bytes_max(profile));
        let plain = &plain[..bytes];
        for suite in [SuiteId::ChaCha20Poly1305, SuiteId::Aes256Gcm] {
            let sealed = seal_segment(&key, &context().segment(0), suite, profile, [9; 24], plain, &pool).unwrap();
            let read = SegmentRead::whole(context().segment(0), sealed.record.into(), 0);
            let mut slots: Vec<_> = sealed.shards.into_iter().map(Some).collect();
            for lost in 0..profile.m() {
                slots[lost * 2] = None;
            }
            let mut output = vec![0; read.plaintext_bytes()];
            assert_eq!(open_segment(&key, &read, &mut slots, &pool, &mut output), Ok(vec![]));
            assert!(output == plain);
        }
    }
}
