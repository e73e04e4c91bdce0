// Gets a token with the DefaultAzureCredential of @azure/identity, as a program in App Service would, and prints it.

import { createRequire } from "node:module";

const { DefaultAzureCredential } = createRequire(process.env.MODULES)("@azure/identity");
const token = await new DefaultAzureCredential().getToken("https://graph.microsoft.com/.default");
console.log(token.token);
