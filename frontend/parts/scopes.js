import { own } from "../own.js";

const WORDS = {
  "data.records:read": "See the data in records",
  "data.records:write": "Create, edit and delete records",
  "data.recordComments:read": "See comments in records",
  "data.recordComments:write": "Write and delete comments",
  "schema.bases:read": "See the structure of bases",
  "schema.bases:write": "Edit the structure of bases",
  "workspacesAndBases:read": "See workspaces and collaborators",
  "webhook:manage": "Manage webhooks",
  "block:manage": "Release custom extensions",
  "user.email:read": "See the email address",
};

/** A scope in words, or unchanged if it is unknown. */
export const inWords = (scope) => own(WORDS, scope) ?? scope;
