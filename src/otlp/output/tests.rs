use super::*;
use proptest::prelude::*;

fn string(bytes: &[u8]) -> (Vec<u8>, bool) {
    let mut out = Output::default();
    let repaired = out.string(&Key::QUOTE, bytes, 0..bytes.len(), b"\"");
    (out.take(), repaired)
}

#[test]
fn r34_invalid_utf_8_becomes_the_replacement_character() {
    assert_eq!(string(b"a\xffb"), ("\"a\u{fffd}b\"".as_bytes().to_vec(), true));
    assert_eq!(string("\u{fffd}".as_bytes()), ("\"\u{fffd}\"".as_bytes().to_vec(), false));
}

#[test]
fn r27_doubles_json_cannot_write_are_strings() {
    let mut out = Output::default();
    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1.5, -0.0, 1e300] {
        out.double(value);
        out.byte(b' ');
    }
    assert_eq!(out.take(), br#""NaN" "Infinity" "-Infinity" 1.5 -0.0 1e+300 "#);
}

#[test]
fn integers_are_written_as_the_standard_library_does() {
    let powers = (0..20).map(|exponent| 10_u64.pow(exponent));
    for value in powers.flat_map(|power| [power - 1, power, power + 7]).chain([u64::MAX]) {
        let mut out = Output::default();
        out.unsigned(value);
        out.signed(value.cast_signed());
        assert_eq!(String::from_utf8(out.take()).unwrap(), format!("{value}{}", value.cast_signed()));
    }
}

#[test]
fn bytes_are_written_in_hexadecimal_and_base64() {
    let mut out = Output::default();
    out.hex(&[0x00, 0x9f, 0xff, 0x10, 0xa9, 0x0a, 0x99, 0xaa]);
    out.base64(&[0xfb, 0xff]);
    assert_eq!(out.take(), b"009fff10a90a99aa\"+/8=\"");
}

proptest! {
    #[test]
    fn r30_every_string_reads_back(text: String, before in "[ -~]{0,20}", after in "[ -~]{0,40}") {
        let body = format!("{before}{text}{after}");
        let mut out = Output::default();
        let range = before.len()..before.len() + text.len();
        let repaired = out.string(&Key::QUOTE, body.as_bytes(), range, b"\"");
        prop_assert!(!repaired);
        prop_assert_eq!(serde_json::from_slice::<String>(&out.take()).unwrap(), text);
    }

    #[test]
    fn whatever_the_bytes_the_text_is_utf_8(bytes: Vec<u8>) {
        let (text, repaired) = string(&bytes);
        let read: String = serde_json::from_slice(&text).unwrap();
        prop_assert_eq!(&read, &String::from_utf8_lossy(&bytes));
        prop_assert_eq!(repaired, std::str::from_utf8(&bytes).is_err());
    }
}
