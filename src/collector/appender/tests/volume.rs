//! Storage that failed is found well again, also without a client that tries.

use std::time::Duration;

use crate::collector::health::StorageHealth;
use crate::collector::testing::World;

#[test]
fn storage_that_failed_is_found_well_again_without_a_client() {
    let mut world = World::new();
    let full = StorageHealth::Full { message: "full".to_owned() };
    for (health, free, is_ok) in [
        (StorageHealth::Failed { message: "gone".to_owned() }, u64::MAX, true),
        (full.clone(), 1 << 20, false),
        (full, 4 << 20, true),
    ] {
        world.fs.set_capacity(Some(free));
        world.health.set(health);
        world.idle(Duration::ZERO);
        assert!(!world.health.is_ok(), "not at once");
        world.idle(Duration::from_secs(1));
        assert_eq!(world.health.is_ok(), is_ok);
    }
}
