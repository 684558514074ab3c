// What the scripts of the management clients share.
import { createHash, webcrypto } from "node:crypto";
import { readFile } from "node:fs/promises";
import process from "node:process";

// Node.js 18 has it under the other name only; what the packages stand on looks for this one.
globalThis.crypto ??= webcrypto;

/** Where the server is, and a token that it takes. */
export const url = process.env.UMPIRE_URL;
export const token = process.env.UMPIRE_TOKEN;
export const subscription = "00000000-0000-0000-0000-000000000000";

/** Every client takes a credential of this shape; the token is one of `umpire token create`. */
export const credential = {
  getToken: async () => ({ token, expiresOnTimestamp: Date.now() + 3_600_000 }),
};

export function check(condition, ...what) {
  if (!condition) throw new Error(what.map((w) => (typeof w === "string" ? w : JSON.stringify(w))).join(" "));
}

export function equal(actual, expected, what) {
  const [a, e] = [JSON.stringify(actual), JSON.stringify(expected)];
  check(a === e, `${what}: ${a}, expected ${e}`);
}

/** The failure of a call, as the client gives it. */
export async function failure(promise, what) {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new Error(`${what} succeeded`);
}

/** Asks again until it is so; the test that runs this has its own end. */
export async function until(condition) {
  for (let tries = 0; !(await condition()); tries++) {
    check(tries < 600, "waited 30 s");
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** All items of a client's iterator. */
export async function all(iterator) {
  const items = [];
  for await (const item of iterator) items.push(item);
  return items;
}

/** Stores a model and returns what a definition calls it. */
export async function upload(file) {
  const bytes = await readFile(file);
  const hash = createHash("sha256").update(bytes).digest("hex");
  const reply = await fetch(`${url}/umpire/v1/blobs/${hash}`, {
    method: "PUT",
    headers: { Authorization: `Bearer ${token}` },
    body: bytes,
  });
  check(reply.ok, "upload", reply.status, await reply.text());
  return `umpire:sha256:${hash}`;
}

const column = { type: "Number", format: "Double" };

/** A definition: x in; x and `Scored Labels` out of the model. Without sample rows and settings of nodes: the client
 *  of web services takes such values for objects and sends none. */
export function definition(model) {
  return {
    location: "South Central US",
    tags: { team: "tests" },
    properties: {
      packageType: "Graph",
      title: "Linear",
      description: "Twice x and one more.",
      realtimeConfiguration: { maxConcurrentCalls: 25 },
      input: { type: "object", properties: { input1: { type: "object", properties: { x: column } } } },
      output: {
        type: "object",
        properties: { output1: { type: "object", properties: { x: column, "Scored Labels": column } } },
      },
      assets: {
        score: {
          name: "Score Model",
          type: "Module",
          locationInfo: { uri: "aml://module/401b4f92e7244d5abe81d5b0ff9bdb33" },
        },
        model: {
          name: "Linear [trained model]",
          type: "Resource",
          locationInfo: { uri: model },
          outputPorts: { "Results dataset": { type: "Dataset" } },
        },
      },
      package: {
        nodes: {
          in: { inputId: "input1" },
          model: { assetId: "model" },
          score: { assetId: "score" },
          out: { outputId: "output1" },
        },
        edges: [
          { sourceNodeId: "in", targetNodeId: "score", targetPortId: "Dataset" },
          { sourceNodeId: "model", sourcePortId: "Results dataset", targetNodeId: "score", targetPortId: "Trained model" },
          { sourceNodeId: "score", sourcePortId: "Scored dataset", targetNodeId: "out" },
        ],
      },
    },
  };
}

/** Scores x and returns the label; `base` is where the service's Swagger document lies, without its name. */
export async function score(base, key, x) {
  const reply = await fetch(`${base}/execute?api-version=2.0`, {
    method: "POST",
    headers: { Authorization: `Bearer ${key}`, "Content-Type": "application/json" },
    body: JSON.stringify({ Inputs: { input1: { ColumnNames: ["x"], Values: [[x]] } }, GlobalParameters: {} }),
  });
  const text = await reply.text();
  if (!reply.ok) return { status: reply.status, text };
  return { status: reply.status, label: JSON.parse(text).Results.output1.value.Values[0].at(-1) };
}
