// The published client of commitment plans: make, read, list, change, associations, usage, SKUs.
//
//     node plans.mjs MODEL
import process from "node:process";
import plans from "@azure/arm-commitmentplans";
import webServices from "@azure/arm-webservices";
import { check, credential, definition, equal, failure, subscription, upload, url } from "./common.mjs";

const group = "clients";
const client = new plans.AzureMLCommitmentPlansManagementClient(credential, subscription, { baseUri: url });

const skus = await client.skus.list();
check(skus.some((sku) => sku.name === "S1" && sku.tier === "Standard" && sku.capacity), "the SKU S1", skus);

const made = await client.commitmentPlans.createOrUpdate(
  { location: "southcentralus", tags: { team: "tests" }, sku: { name: "S1", tier: "Standard", capacity: 1 } },
  group, "plan-a",
);
equal(made.name, "plan-a", "the name");
equal(made.location, "southcentralus", "the location as it was given");
check(made.etag, "an etag", made);
const hours = (plan) => plan.properties.includedQuantities.machineLearningWebServiceComputeHours.allowance;
const one = hours(made);
check(one > 0, "hours are included", made);

const got = await client.commitmentPlans.get(group, "plan-a");
equal(got.id, made.id, "the same plan");
const patched = await client.commitmentPlans.patch({ sku: { name: "S2", tier: "Standard", capacity: 2 } }, group, "plan-a");
equal([patched.sku.name, patched.sku.capacity], ["S2", 2], "the SKU");
check(hours(patched) > one, "more hours are included", patched);
equal(patched.tags, { team: "tests" }, "the tags stay");

await client.commitmentPlans.createOrUpdate(
  { location: "southcentralus", sku: { name: "S1", tier: "Standard", capacity: 1 } }, group, "plan-b",
);
for (const list of [await client.commitmentPlans.list(), await client.commitmentPlans.listInResourceGroup(group)]) {
  const names = list.map((plan) => plan.name);
  check(names.includes("plan-a") && names.includes("plan-b"), "both are listed", names);
}

// A service on a plan makes an association, which can be moved to another plan.
const services = new webServices.AzureMLWebServicesManagementClient(credential, subscription, { endpoint: url }).webServices;
const service = definition(await upload(process.argv[2]));
service.properties.commitmentPlan = { id: made.id };
const on = await services.beginCreateOrUpdateAndWait(group, "on-a-plan", service, { updateIntervalInMs: 50 });
const [association] = await client.commitmentAssociations.list(group, "plan-a");
equal(association.properties.associatedResourceId.toLowerCase(), on.id.toLowerCase(), "what is associated");
const same = await client.commitmentAssociations.get(group, "plan-a", association.name);
equal(same.id, association.id, "the same association");
const planB = await client.commitmentPlans.get(group, "plan-b");
const moved = await client.commitmentAssociations.move(group, "plan-a", association.name, { destinationPlanId: planB.id });
equal(moved.properties.commitmentPlanId.toLowerCase(), planB.id.toLowerCase(), "moved");
equal((await client.commitmentAssociations.list(group, "plan-a")).length, 0, "nothing is left on the first plan");
equal((await client.commitmentAssociations.list(group, "plan-b")).length, 1, "it is on the second");
await services.beginRemoveAndWait(group, "on-a-plan", { updateIntervalInMs: 50 });

const usage = await client.usageHistory.list(group, "plan-b");
check(Array.isArray(usage), "a usage history", usage);

for (const name of ["plan-a", "plan-b"]) await client.commitmentPlans.remove(group, name);
const absent = await failure(client.commitmentPlans.get(group, "plan-a"), "get of a removed plan");
equal(absent.statusCode, 404, "its status");
check(absent.code, "an error code", absent);
console.log("the published plans client is content");
