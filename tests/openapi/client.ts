// A shop's purchase, written only with what the OpenAPI document says: it compiles while the document keeps its word.

import createClient from "openapi-fetch";
import type { components, paths } from "./schema";

type Schemas = components["schemas"];
type Address = Schemas["CartAddress"];
type Transaction = Schemas["Transaction"];
type ProblemCode = Schemas["ProblemCode"];

/** What a purchase failed with: a code that a program can tell apart, and words for people. */
export class Refused extends Error {
  constructor(readonly code: ProblemCode, detail: string) {
    super(detail);
  }

  get soldOut(): boolean {
    return this.code === "out_of_stock";
  }
}

/** The answer's data, or its problem thrown. */
function orThrow<T>(answer: { data?: T; error?: Schemas["Problem"] }): T {
  if (answer.error) throw new Refused(answer.error.code, answer.error.detail);
  return answer.data as T;
}

/** Buys one of the first product that is in stock, as a guest who pays by bank transfer. */
export async function buyTheFirst(baseUrl: string, store: string, email: string, address: Address): Promise<Transaction> {
  const api = createClient<paths>({ baseUrl, headers: { "X-Store": store } });

  const page = orThrow(await api.GET("/api/products", { params: { query: { in_stock: true, sort: "price", limit: 20 } } }));
  const variant = page.items[0]?.variants[0];
  if (!variant || !variant.price) throw new Error("nothing is in stock");
  const amount: number = variant.price.amount;

  const cart = orThrow(await api.POST("/api/carts", { body: {} }));
  const headers = { "X-Cart-Token": cart.token ?? "" };
  const path = { id: cart.id };
  const filled = orThrow(
    await api.POST("/api/carts/{id}/items", { params: { path }, headers, body: { variant_id: variant.id, quantity: 1 } }),
  );
  if (filled.totals.subtotal.amount !== amount) throw new Error("the price changed meanwhile");

  orThrow(await api.PUT("/api/carts/{id}/shipping-address", { params: { path }, headers, body: address }));
  const rates = orThrow(await api.GET("/api/carts/{id}/shipping-rates", { params: { path }, headers }));
  const rate = rates.items[0];
  if (!rate) throw new Error("nothing is delivered there");
  orThrow(await api.PUT("/api/carts/{id}/shipping-rate", { params: { path }, headers, body: { rate_id: rate.id } }));

  return orThrow(
    await api.POST("/api/transactions", {
      params: { header: { "Idempotency-Key": crypto.randomUUID() } },
      headers,
      body: { cart_id: cart.id, email, payment: { provider: "manual" } },
    }),
  );
}

// What the document must not allow: a misspelt field, a code that no answer has.
// @ts-expect-error
export const misspelt: Address = { nmae: "Siti Rahma" };
// @ts-expect-error
export const unknownCode: ProblemCode = "no_such_code";
