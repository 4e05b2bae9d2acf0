//! What is left of a capture that is deleted.

use std::time::Instant;

use crate::bundle::download;
use crate::command::{TIMEOUT, until};
use crate::disk;
use crate::load::send_one;
use crate::pods::lives;
use crate::site::{CAPTURE, beside_others};

#[test]
fn the_volume_stays_or_goes_as_the_capture_says() {
    beside_others("deleted", |site| {
        let folder = disk::make_deletable("deleted", "checkout-chunks");
        site.capture("{}");
        let id = send_one(&site.endpoint(), 0).unwrap();
        site.kubectl(&["delete", "tcap", CAPTURE, TIMEOUT]);
        until("its pods are gone", || lives(site).is_empty().then_some(()));
        assert_eq!(site.get(&["persistentvolumeclaim", "checkout-chunks"])["status"]["phase"], "Bound");
        assert!(folder.join("chunks").exists());

        // Another capture of the same name finds what the first one left, and takes it along.
        site.capture("{storage: {deletionPolicy: Delete}}");
        assert!(download(site).ids().contains(&id));
        let asked = Instant::now();
        site.kubectl(&["delete", "tcap", CAPTURE, TIMEOUT]);
        until("the claim is gone", || site.get(&["persistentvolumeclaim", "checkout-chunks"]).is_null().then_some(()));
        println!("deleted: the claim is gone after {} s", asked.elapsed().as_secs());
        until("what was captured is gone", || (!folder.exists()).then_some(()));
    });
}
