// Prints the names of the account's instances. IBM's SDK finds out on which instance it runs, and as what.

import core from "ibm-cloud-sdk-core";

const service = new core.BaseService({
  serviceUrl: `${process.env.LINKLOCAL_API}/v1`,
  authenticator: new core.VpcInstanceAuthenticator(),
});
const { result } = await service.createRequest({
  options: { url: "/instances", method: "GET", qs: { version: "2025-08-26", generation: 2 } },
  defaultOptions: { serviceUrl: service.baseOptions.serviceUrl, headers: { Accept: "application/json" } },
});
console.log(result.instances.map((instance) => instance.name).sort().join("\n"));
