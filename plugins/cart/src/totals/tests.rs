use super::*;
use serde_json::json;

fn idr(amount: i64) -> Money {
    Money::new(amount, "IDR".parse().unwrap()).unwrap()
}

fn line(price: i64, quantity: i64) -> PricedLine {
    PricedLine {
        unit_price: idr(price),
        quantity,
        tax_category: Some("standard".to_owned()),
    }
}

fn of(lines: &[PricedLine], shipping: i64, discounts: &[NamedDiscount], rates: &[TaxRate]) -> Computed {
    compute("IDR".parse().unwrap(), lines, Some(idr(shipping)), discounts, rates).unwrap()
}

fn named(discount: Discount) -> NamedDiscount {
    NamedDiscount {
        code: "CODE".to_owned(),
        discount,
    }
}

fn vat(percent: u32, inclusive: bool) -> TaxRate {
    TaxRate {
        name: format!("VAT {percent}"),
        category: None,
        rate: Rate::percent(percent),
        inclusive,
    }
}

/// What must hold for every cart, whatever is in it.
fn must_add_up(computed: &Computed) {
    let t = &computed.totals;
    let sum = |part: fn(&LineTotals) -> Money| computed.lines.iter().map(|line| part(line).amount()).sum::<i64>();
    assert_eq!(sum(|line| line.subtotal), t.subtotal.amount());
    assert_eq!(
        computed.discounts.iter().map(|d| d.amount.amount()).sum::<i64>(),
        t.discount.amount()
    );
    assert_eq!(
        computed.taxes.iter().map(|d| d.amount.amount()).sum::<i64>(),
        t.tax.amount()
    );
    let total =
        t.subtotal.amount() - t.discount.amount() + t.shipping.amount() + t.tax.amount() - t.tax_included.amount();
    assert_eq!(total, t.total.amount());
    for line in &computed.lines {
        assert!(line.discount.amount() >= 0 && line.discount.amount() <= line.subtotal.amount());
    }
}

#[test]
fn a_discount_that_does_not_divide_is_shared_out_to_the_last_unit() {
    let computed = of(
        &[line(100, 1), line(100, 1), line(100, 1)],
        0,
        &[named(Discount::Amount(idr(100)))],
        &[],
    );
    must_add_up(&computed);
    let shares: Vec<i64> = computed.lines.iter().map(|line| line.discount.amount()).collect();
    assert_eq!(shares.iter().sum::<i64>(), 100);
    assert!(shares.iter().all(|share| (33..=34).contains(share)), "{shares:?}");
}

#[test]
fn a_fixed_discount_takes_no_more_than_there_is() {
    let computed = of(&[line(100, 2)], 10, &[named(Discount::Amount(idr(1_000)))], &[]);
    must_add_up(&computed);
    assert_eq!((computed.totals.discount, computed.totals.total), (idr(200), idr(10)));
}

#[test]
fn two_discounts_can_not_take_the_same_money_twice() {
    let both = [
        named(Discount::Fraction(Rate::percent(80))),
        named(Discount::Fraction(Rate::percent(80))),
    ];
    let computed = of(&[line(100, 1)], 0, &both, &[]);
    must_add_up(&computed);
    assert_eq!(computed.totals.total, idr(0));
}

#[test]
fn free_shipping_is_free_once() {
    let twice = [named(Discount::FreeShipping), named(Discount::FreeShipping)];
    let computed = of(&[line(100, 1)], 30, &twice, &[]);
    must_add_up(&computed);
    assert_eq!((computed.totals.discount, computed.totals.total), (idr(30), idr(100)));
}

#[test]
fn a_tax_on_top_is_rounded_half_up_per_line() {
    let computed = of(&[line(5, 1), line(5, 1)], 0, &[], &[vat(10, false)]);
    must_add_up(&computed);
    assert_eq!((computed.totals.tax, computed.totals.total), (idr(2), idr(12)));
}

#[test]
fn a_tax_inside_of_the_price_does_not_raise_the_total() {
    let computed = of(&[line(111, 1)], 0, &[], &[vat(11, true)]);
    must_add_up(&computed);
    assert_eq!(
        (computed.totals.tax, computed.totals.tax_included, computed.totals.total),
        (idr(11), idr(11), idr(111))
    );
}

#[test]
fn two_taxes_inside_of_one_price_are_taken_out_together() {
    let computed = of(&[line(121, 1)], 0, &[], &[vat(10, true), vat(11, true)]);
    must_add_up(&computed);
    assert_eq!(
        computed.taxes.iter().map(|tax| tax.amount).collect::<Vec<_>>(),
        [idr(10), idr(11)]
    );
}

#[test]
fn taxes_inside_of_one_price_are_exact_or_refused_but_never_wrapped_around() {
    let rate = |numerator, denominator| TaxRate {
        name: format!("{numerator}/{denominator}"),
        rate: Rate::new(numerator, denominator).unwrap(),
        ..vat(1, true)
    };
    let currency = "IDR".parse().unwrap();
    // Twenty hundredths have a common denominator of 100, not of 100^20.
    let many: Vec<TaxRate> = (1..=20).map(|numerator| rate(numerator, 100)).collect();
    let computed = compute(currency, &[line(9_000_000_000_000, 1)], None, &[], &many).unwrap();
    must_add_up(&computed);
    let coprime: Vec<TaxRate> = [
        4_294_967_291,
        4_294_967_279,
        4_294_967_231,
        4_294_967_197,
        4_294_967_189,
    ]
    .map(|denominator| rate(1, denominator))
    .to_vec();
    assert_eq!(
        compute(currency, &[line(1_000, 1)], None, &[], &coprime).unwrap_err(),
        MoneyError::TooLarge
    );
}

#[test]
fn a_rate_for_just_this_category_replaces_the_one_for_all() {
    let reduced = TaxRate {
        category: Some("books".to_owned()),
        rate: Rate::percent(5),
        ..vat(10, false)
    };
    let book = PricedLine {
        tax_category: Some("books".to_owned()),
        ..line(100, 1)
    };
    let computed = of(&[book, line(100, 1)], 0, &[], &[vat(10, false), reduced]);
    must_add_up(&computed);
    assert_eq!(
        computed.lines.iter().map(|line| line.tax).collect::<Vec<_>>(),
        [idr(5), idr(10)]
    );
}

#[test]
fn the_most_exact_place_wins() {
    let rate = |province: Option<&str>, postal_prefix: Option<&str>, numerator: u32| TableRate {
        name: "tax".to_owned(),
        province: province.map(str::to_owned),
        postal_prefix: postal_prefix.map(str::to_owned),
        category: None,
        numerator,
        denominator: 100,
        inclusive: false,
    };
    let table = vec![
        rate(None, None, 1),
        rate(Some("Bali"), None, 2),
        rate(None, Some("803"), 3),
        rate(Some("Aceh"), None, 4),
    ];
    let at = |province: &str, postal_code: &str| {
        let address = json!({ "province": province, "postal_code": postal_code });
        let rates = rates_at(Some(&address), table.clone());
        assert_eq!(rates.len(), 1);
        rates[0].rate
    };
    assert_eq!(at("Jakarta", "10000"), Rate::percent(1));
    assert_eq!(at("bali ", "10000"), Rate::percent(2));
    assert_eq!(at("Bali", "80361"), Rate::percent(3));
}

/// A cheap generator: the point is many shapes, not randomness.
#[test]
fn everything_adds_up_for_ten_thousand_carts() {
    let mut state: u64 = 42;
    let mut next = |below: u64| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    for _ in 0..10_000 {
        let lines: Vec<PricedLine> = (0..next(6))
            .map(|_| line(next(1_000_000) as i64, 1 + next(9) as i64))
            .collect();
        let discounts: Vec<NamedDiscount> = (0..next(6))
            .map(|kind| {
                named(match kind {
                    0 => Discount::Fraction(Rate::basis_points(next(10_001) as u32)),
                    1 => Discount::Amount(idr(next(2_000_000) as i64)),
                    2 => Discount::Line(next(6) as usize, idr(next(2_000_000) as i64)),
                    3 => Discount::Shipping(idr(next(60_000) as i64)),
                    _ => Discount::FreeShipping,
                })
            })
            .collect();
        let rates: Vec<TaxRate> = (0..next(4))
            .map(|n| vat(1 + n as u32 + next(20) as u32, next(2) == 0))
            .collect();
        must_add_up(&of(&lines, next(50_000) as i64, &discounts, &rates));
    }
}
