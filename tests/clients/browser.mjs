// Loads pages in a real browser and fails where one logs an error, breaks its own policy, asks
// for anything beside itself, or has a copy button that does not copy.
//
//     node browser.mjs BROWSER [--screenshots FOLDER] URL...
//
// Speaks the DevTools protocol over a pipe, so that no library is needed.
import { spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";

const [browserPath, ...rest] = process.argv.slice(2);
const screenshots = rest[0] === "--screenshots" ? rest.splice(0, 2)[1] : null;
const urls = rest;

const profile = await mkdtemp(join(tmpdir(), "umpire-browser-"));
const browser = spawn(
  browserPath,
  [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    `--user-data-dir=${profile}`, "--remote-debugging-pipe", "about:blank",
  ],
  { stdio: ["ignore", "ignore", "pipe", "pipe", "pipe"] },
);
let stderr = "";
browser.stderr.on("data", (data) => { stderr += data; });
const ended = new Promise((resolve) => browser.on("exit", resolve));

const waiting = new Map();
const listeners = new Set();
let count = 0;
let received = "";
browser.stdio[4].setEncoding("utf8").on("data", (data) => {
  received += data;
  for (let end; (end = received.indexOf("\0")) >= 0; ) {
    const message = JSON.parse(received.slice(0, end));
    received = received.slice(end + 1);
    if (message.id) {
      const { resolve, reject } = waiting.get(message.id);
      waiting.delete(message.id);
      if (message.error) reject(new Error(JSON.stringify(message.error)));
      else resolve(message.result);
    } else {
      for (const listener of listeners) listener(message);
    }
  }
});
ended.then((code) => {
  for (const { reject } of waiting.values()) reject(new Error(`the browser ended (${code}): ${stderr}`));
});

function send(method, params = {}, sessionId = undefined) {
  const id = ++count;
  return new Promise((resolve, reject) => {
    waiting.set(id, { resolve, reject });
    browser.stdio[3].write(JSON.stringify({ id, method, params, sessionId }) + "\0");
  });
}

function event(method, sessionId) {
  return new Promise((resolve) => {
    const listener = (message) => {
      if (message.method !== method || message.sessionId !== sessionId) return;
      listeners.delete(listener);
      resolve(message.params);
    };
    listeners.add(listener);
  });
}

function check(condition, ...what) {
  if (!condition) throw new Error(what.join(" "));
}

async function visit(url) {
  const { targetId } = await send("Target.createTarget", { url: "about:blank" });
  const { sessionId } = await send("Target.attachToTarget", { targetId, flatten: true });
  const page = (method, params) => send(method, params, sessionId);
  const faults = [];
  const requests = [];
  const watch = ({ method, params, sessionId: of }) => {
    if (of !== sessionId) return;
    if (method === "Log.entryAdded" && params.entry.level !== "verbose") faults.push(params.entry.text);
    if (method === "Runtime.exceptionThrown") faults.push(params.exceptionDetails.text);
    if (method === "Runtime.consoleAPICalled") faults.push(`console.${params.type}`);
    if (method === "Network.requestWillBeSent") requests.push(params.request.url);
  };
  listeners.add(watch);
  for (const domain of ["Page", "Log", "Runtime", "Network"]) await page(`${domain}.enable`);
  const origin = new URL(url).origin;
  await send("Browser.grantPermissions", { origin, permissions: ["clipboardReadWrite", "clipboardSanitizedWrite"] });

  const value = async (expression) => {
    const { result, exceptionDetails } = await page("Runtime.evaluate", {
      expression, awaitPromise: true, returnByValue: true, userGesture: true,
    });
    check(!exceptionDetails, url, expression, JSON.stringify(exceptionDetails));
    return result.value;
  };
  for (const width of [1100, 360]) {
    await page("Emulation.setDeviceMetricsOverride", { width, height: 800, deviceScaleFactor: 1, mobile: width < 500 });
    for (const scheme of ["light", "dark"]) {
      await page("Emulation.setEmulatedMedia", { features: [{ name: "prefers-color-scheme", value: scheme }] });
      const loaded = event("Page.loadEventFired", sessionId);
      await page("Page.navigate", { url });
      await loaded;
      // Wide tables and programs scroll by themselves; the page does not.
      const overflow = await value("document.documentElement.scrollWidth - document.documentElement.clientWidth");
      check(overflow <= 0, url, `at ${width} px the page is ${overflow} px too wide`);
      if (screenshots) {
        const { data } = await page("Page.captureScreenshot", { captureBeyondViewport: true });
        const name = new URL(url).pathname.split("/").pop();
        await writeFile(join(screenshots, `${name}-${width}-${scheme}.png`), Buffer.from(data, "base64"));
      }
    }
  }
  // The style counts: were it refused by the policy, all panels would show.
  const panels = await value("[...document.querySelectorAll('.tabs > section')].filter((s) => s.offsetHeight > 0).length");
  const tabs = await value("document.querySelectorAll('.tabs > label').length");
  check(panels === (tabs > 0 ? 1 : 0), url, `${panels} panels of ${tabs} show`);
  if (tabs > 0) {
    await value("document.querySelector('label[for=tab-python]').click()");
    check(await value("document.querySelector('#panel-python').offsetHeight > 0"), url, "the tab does not open");
  }
  const boxes = await value("document.querySelectorAll('.code').length");
  const buttons = await value("document.querySelectorAll('.code > button').length");
  check(boxes === buttons, url, `${buttons} copy buttons for ${boxes} texts`);
  if (tabs > 0) {
    await page("Page.bringToFront");
    const label = "document.querySelector('#panel-python button').textContent";
    const before = await value(label);
    await value("document.querySelector('#panel-python button').click()");
    await value(`new Promise((done) => {
      const look = () => ${label} === ${JSON.stringify(before)} ? setTimeout(look, 10) : done(true);
      look();
    })`);
    const copied = await value("navigator.clipboard.readText()");
    const shown = await value("document.querySelector('#sample-python').textContent");
    check(copied === shown && copied.includes("import"), url, "copied:", copied);
  }
  check(faults.length === 0, url, "the browser logged:", faults.join("; "));
  const elsewhere = requests.filter((r) => r !== url && !r.startsWith("data:"));
  check(elsewhere.length === 0, url, "the page asked for", elsewhere.join(", "));
  listeners.delete(watch);
  await send("Target.closeTarget", { targetId });
}

let status = 0;
try {
  for (const url of urls) await visit(url);
  console.log(`${urls.length} pages are in order`);
} catch (error) {
  console.error(error.stack);
  status = 1;
} finally {
  await send("Browser.close").catch(() => {});
  await ended;
  await rm(profile, { recursive: true, force: true, maxRetries: 5 });
}
process.exit(status);
