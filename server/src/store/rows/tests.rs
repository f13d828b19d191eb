use super::*;

#[test]
fn groups_have_few_sizes_and_keep_the_order() {
    for count in 0..1000 {
        let groups: Vec<_> = split((0..count).collect()).collect();
        assert_eq!(groups.concat(), (0..count).collect::<Vec<_>>());
    }
    let sizes = |count: usize| split(vec![(); count]).map(|group| group.len()).collect::<Vec<_>>();
    assert_eq!(sizes(0), [0; 0]);
    assert_eq!(sizes(15), [15]);
    assert_eq!(sizes(17), [16, 1]);
    assert_eq!(sizes(243), [100, 100, 32, 11]);
}

#[test]
fn element_of_an_array_is_quoted() {
    let element = |value: Value| {
        let mut array = String::new();
        push_element(&mut array, value);
        array
    };
    for (text, expected) in [
        ("", r#""""#),
        ("NULL", r#""NULL""#),
        (r#"a"b\c,{}"#, r#""a\"b\\c,{}""#),
        (r#"\""#, r#""\\\"""#),
        ("é\n☃", "\"é\n☃\""),
    ] {
        assert_eq!(element(text.into()), expected);
    }
    assert_eq!(element(vec![0_u8, 255, 16].into()), r#""\\x00ff10""#);
    assert_eq!(element(Value::Bytes(None)) + &element(Value::from(-5_i64)) + &element(true.into()), "NULL-5t");
}
