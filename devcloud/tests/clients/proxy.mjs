// Lets `fetch` of Node before 24 go by HTTPS_PROXY: node --import ./proxy.mjs

import { EnvHttpProxyAgent, setGlobalDispatcher } from 'undici';

setGlobalDispatcher(new EnvHttpProxyAgent());
