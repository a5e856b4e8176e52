// A real OpenID provider (npm oidc-provider).  Who signs in is what the header X-Account of the browser says; what is known of them
// is in a file that tests rewrite.
import fs from "node:fs";
import https from "node:https";
import Provider from "oidc-provider";

const setup = JSON.parse(fs.readFileSync(process.argv[2], "utf8"));

const provider = new Provider(setup.issuer, {
  clients: setup.clients,
  jwks: setup.jwks,
  cookies: {keys: ["a", "b"]},
  claims: {openid: ["sub"], profile: ["name", "preferred_username"], email: ["email", "email_verified"], groups: ["groups"]},
  scopes: ["openid", "profile", "email", "groups"],
  conformIdTokenClaims: false,
  features: {devInteractions: {enabled: false}},
  pkce: {required: () => true},
  interactions: {url: (ctx, interaction) => `/interaction/${interaction.uid}`},
  async findAccount(ctx, sub) {
    return {accountId: sub, claims: () => ({sub, ...JSON.parse(fs.readFileSync(setup.people, "utf8"))[sub]})};
  },
  async loadExistingGrant(ctx) {
    const grant = new provider.Grant({clientId: ctx.oidc.client.clientId, accountId: ctx.oidc.session.accountId});
    grant.addOIDCScope("openid profile email groups");
    await grant.save();
    return grant;
  },
});

provider.use(async (ctx, next) => {
  if (!ctx.path.startsWith("/interaction/")) return next();
  const account = ctx.get("x-account");
  const result = account === "nobody" ? {error: "access_denied", error_description: "the person said no"} : {login: {accountId: account}};
  ctx.respond = false;
  await provider.interactionFinished(ctx.req, ctx.res, result, {mergeWithLastSubmission: false});
});

const tls = {cert: fs.readFileSync(setup.cert), key: fs.readFileSync(setup.key)};
https.createServer(tls, provider.callback()).listen(setup.port, "127.0.0.1", () => console.log("ready"));
