// RudderStack's library for Node, unmodified, with only the host changed. As segment.mjs.

import RudderAnalytics from "@rudderstack/rudder-sdk-node";

const [host, writeKey, prefix] = process.argv.slice(2);
const errors = [];
const told = (error) => error && errors.push(error);
const analytics = new (RudderAnalytics.default ?? RudderAnalytics)(writeKey, { dataPlaneUrl: host, flushAt: 4, flushInterval: 100, errorHandler: told });

const userId = `${prefix}-user`;
const anonymousId = `${prefix}-anonymous`;
const page = { anonymousId, category: "Shop", name: "Home", properties: { path: "/" } };
const added = { cart_id: `${prefix}-cart`, product_id: "p1", price: 19.9 };
const sent = [
  ["identify", { userId, anonymousId, traits: { email: `${prefix}@example.com`, plan: "gold" } }],
  ["track", { userId, event: "Product Added", properties: added }],
  ["page", page],
  ["screen", { userId, name: "Cart" }],
  ["group", { userId, groupId: "g1", traits: { name: "Acme" } }],
  ["alias", { userId: `${prefix}-new`, previousId: userId }],
].map(([kind, message]) => new Promise((done) => analytics[kind](message, (error) => done(told(error)))));
await Promise.allSettled(sent);

for (const error of errors) console.error(error.response?.status ?? error.message);
process.exit(errors.length > 0 ? 1 : 0);
