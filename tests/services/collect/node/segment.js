// Calls of @segment/analytics-node; prints what the SDK sends, a line for each call.
const { Analytics } = require("@segment/analytics-node");

const [host, writeKey, rounds] = process.argv.slice(2);
const analytics = new Analytics({ host, writeKey, flushAt: 10, flushInterval: 100, maxRetries: 20 });
analytics.on("error", (error) => { console.error(JSON.stringify(error)); process.exitCode = 1; });

const done = [];
const sent = (method, call) => done.push(new Promise((ends) => analytics[method](call, (error, context) => {
  if (error) process.exitCode = 1;
  console.log(JSON.stringify(context.event));
  ends();
})));

(async () => {
  for (let n = 0; n < Number(rounds); n++) {
    const userId = `ann-${n}`;
    sent("identify", { userId, traits: { plan: "pro", name: "安娜", nested: { a: [1, null, 2.5] } } });
    sent("track", { userId, event: "Order Completed", properties: { total: 19.9 }, timestamp: new Date("2026-02-01T03:04:05.678Z") });
    sent("page", { userId, category: "Docs", name: "Start", properties: { path: "/start" } });
    sent("screen", { userId, name: "Home", integrations: { All: false } });
    sent("group", { userId, groupId: "acme", traits: { seats: 3 } });
    sent("alias", { userId, previousId: `old-${n}` });
    sent("track", { anonymousId: `visitor-${n}`, event: "Seen" });
    await new Promise((next) => setTimeout(next, 50));
  }
  await Promise.all(done);
  await analytics.closeAndFlush();
})();
