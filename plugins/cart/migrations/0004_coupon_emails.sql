-- A limit per customer counts what was bought signed in together with what the same e-mail address bought as a guest.

alter table coupon_uses add column email text;
create index coupon_uses_by_email on coupon_uses (coupon_id, email);
