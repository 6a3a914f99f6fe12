#include "tools/agentdesk/command_line.h"

namespace agentdesk::cli {
namespace {

constexpr size_t kMany = 1000;

const FlagSpec& RequestId() {
  static const auto* const flag =
      new FlagSpec{.name = "request_id",
                   .value = "ID",
                   .help = "names this call: repeated under the same id it happens only once"};
  return *flag;
}

CommandSpec TicketCreate() {
  return {.words = "ticket create",
          .arguments = "NAME",
          .min_arguments = 1,
          .max_arguments = kMany,
          .summary = "create a ticket",
          .details = "Prints the ticket's id, its job and its session. Several words are one name.",
          .flags = {
              {.name = "description", .value = "TEXT", .help = "`-` reads standard input"},
              {.name = "label", .value = "KEY=VALUE", .help = "may be repeated", .repeated = true},
              {.name = "queue", .value = "NAME", .help = "default: default"},
              {.name = "priority", .value = "0..9", .help = "9 goes first; default 5"},
              {.name = "run_after",
               .value = "TIME",
               .help = "not before this time (RFC 3339), or, without --request_id, after this "
                       "long, such as 90s, 10m"},
              {.name = "max_attempts", .value = "N", .help = "how many may fail; default 5"},
              {.name = "timeout_s",
               .value = "N",
               .help = "seconds that one attempt may run, waits for humans left out"},
              {.name = "ticket_id", .value = "UUID", .help = "an id of your own"},
              RequestId()}};
}

CommandSpec TicketList() {
  return {
      .words = "ticket list",
      .summary = "list tickets, newest first",
      .flags = {{.name = "status",
                 .value = "STATUS",
                 .help = "queued, running, waiting, cancelling, completed, failed or cancelled"},
                {.name = "limit", .value = "N", .help = "at most so many; default 50; 0: all"}}};
}

CommandSpec TicketShow() {
  return {.words = "ticket show",
          .arguments = "TICKET_ID",
          .min_arguments = 1,
          .max_arguments = 1,
          .summary = "show a ticket, its latest job and its open questions",
          .flags = {{.name = "transcript", .value = "", .help = "its session's events too"}}};
}

CommandSpec TicketEnd(const char* words, const char* summary, const char* details) {
  return {.words = words,
          .arguments = "TICKET_ID",
          .min_arguments = 1,
          .max_arguments = 1,
          .summary = summary,
          .details = details,
          .flags = {RequestId()}};
}

CommandSpec Watch() {
  return {.words = "watch",
          .summary = "follow the desk's events",
          .details =
              "Without a start it shows what happens from now on. It comes back by itself when\n"
              "the connection or the core is lost, or its token has run out and --token_file\n"
              "may hold a fresh one, and misses nothing. Ctrl-C ends it.",
          .flags = {{.name = "after",
                     .value = "N",
                     .help = "all events after this sequence; 0: from the beginning"},
                    {.name = "desk",
                     .value = "ID",
                     .help = "the log that --after belongs to (see `agentdesk desk`)"},
                    {.name = "live", .value = "", .help = "only what happens from now on"},
                    {.name = "snapshot", .value = "", .help = "the state now, then what follows"},
                    {.name = "ticket",
                     .value = "TICKET_ID",
                     .help = "only of this ticket; may be repeated",
                     .repeated = true}}};
}

CommandSpec Questions() {
  return {
      .words = "questions",
      .summary = "list open questions, nearest deadline first",
      .flags = {{.name = "all", .value = "", .help = "those that are over too"},
                {.name = "session", .value = "SESSION_ID", .help = "only of this session"},
                {.name = "limit", .value = "N", .help = "at most so many; default 50; 0: all"}}};
}

CommandSpec Answer() {
  return {.words = "answer",
          .arguments = "QUESTION_ID RESPONSE...",
          .min_arguments = 2,
          .max_arguments = kMany,
          .summary = "answer a question",
          .details =
              "Where the question takes several values each RESPONSE is one of them, otherwise\n"
              "several words are one response. `-` reads it from standard input. Ends with 1 when\n"
              "the response did not win, and says who was faster.",
          .flags = {RequestId()}};
}

CommandSpec Message() {
  return {.words = "message",
          .arguments = "SESSION_ID TEXT...",
          .min_arguments = 2,
          .max_arguments = kMany,
          .summary = "send a message to a session's agents",
          .details = "Several words are one text. `-` reads it from standard input.",
          .flags = {RequestId()}};
}

FlagSpec Algorithm(const char* help) {
  return {.name = "alg", .value = "ALG", .help = help, .repeated = true};
}

CommandSpec TokenKey() {
  return {.words = "token key",
          .summary = "make a key that signs tokens, for trials",
          .details =
              "Writes the signing key, which only its owner can read, and the set of keys that\n"
              "checks what it signs. Files that exist are not written over.",
          .flags = {Algorithm("RS256, ES256, EdDSA or HS256; default ES256"),
                    {.name = "signing_key", .value = "FILE", .help = "the key that signs"},
                    {.name = "keys", .value = "FILE", .help = "the keys that check"}}};
}

CommandSpec TokenCreate() {
  return {
      .words = "token create",
      .summary = "make a token, for trials",
      .flags = {{.name = "signing_key", .value = "FILE", .help = "made by `agentdesk token key`"},
                {.name = "issuer", .value = "ISS", .help = "who vouches: the claim iss"},
                {.name = "audience", .value = "AUD", .help = "for whom it is: the claim aud"},
                {.name = "subject", .value = "SUB", .help = "who its bearer is: the claim sub"},
                {.name = "scope",
                 .value = "SCOPE",
                 .help = "what the bearer may do; may be repeated",
                 .repeated = true},
                {.name = "tenant", .value = "TENANT", .help = "the claim tenant"},
                {.name = "group",
                 .value = "GROUP",
                 .help = "one of groups; may be repeated",
                 .repeated = true},
                {.name = "role",
                 .value = "ROLE",
                 .help = "one of roles; may be repeated",
                 .repeated = true},
                {.name = "expires_in", .value = "TIME", .help = "such as 10m; default 1h"}}};
}

CommandSpec TokenVerify() {
  return {
      .words = "token verify",
      .arguments = "TOKEN",
      .min_arguments = 1,
      .max_arguments = 1,
      .summary = "say whether a token is accepted, or why not",
      .details =
          "Judges as the servers do. `-` reads the token from standard input, so that it\n"
          "stands in no list of processes. Ends with 0 when it is accepted, with 1 when it or\n"
          "the keys are rejected. Without --issuer and --audience only the signature counts,\n"
          "and what is signed may be anything.",
      .flags = {
          {.name = "keys", .value = "FILE", .help = "the issuer's keys: PEM, a JWK Set or a JWK"},
          {.name = "issuer", .value = "ISS", .help = "who must vouch: the claim iss"},
          {.name = "audience", .value = "AUD", .help = "what the claim aud must name"},
          Algorithm("may sign; may be repeated; default: what each key is for"),
          {.name = "clock_skew", .value = "TIME", .help = "of the issuer; default 30s"},
          {.name = "time", .value = "TIME", .help = "as of this time (RFC 3339)"}}};
}

CommandSpec AdminBackup() {
  return {
      .words = "admin backup",
      .arguments = "FILE",
      .min_arguments = 1,
      .max_arguments = 1,
      .summary = "copy the running desk into a file",
      .details =
          "The copy is of one moment, and the desk goes on working. FILE exists only once it is\n"
          "whole and on the disk. Keep it as you keep the desk: everything is in it."};
}

CommandSpec AdminRestore() {
  return {
      .words = "admin restore",
      .arguments = "BACKUP DATA_DIR",
      .min_arguments = 2,
      .max_arguments = 2,
      .summary = "make a new desk of a backup",
      .details =
          "DATA_DIR must not have a desk yet; no core is needed. The desk gets a new id, so that\n"
          "whoever followed the old log is told, and begins with a snapshot. The backup is\n"
          "checked from end to end first."};
}

CommandSpec AdminCheck() {
  return {
      .words = "admin check",
      .arguments = "PATH",
      .min_arguments = 1,
      .max_arguments = 1,
      .summary = "check a backup, or the directory of a desk that no core runs",
      .details =
          "Verifies the file, the log without holes, its hash chain, and that the state is what\n"
          "the events tell. Changes nothing that is stored; in the directory of a core that was\n"
          "killed it puts SQLite's log into the file, as a start does. Ends with 1 and names\n"
          "the first fault.",
      .flags = {{.name = "since_checkpoint",
                 .value = "",
                 .help = "only what happened after the last `admin compact`"}}};
}

CommandSpec AdminCompact() {
  return {
      .words = "admin compact",
      .summary = "move the oldest position that can be subscribed to",
      .details =
          "No event is deleted, and transcripts stay whole. Also stores a checkpoint, from which\n"
          "`admin check --since_checkpoint` starts.",
      .flags = {
          {.name = "keep_events", .value = "N", .help = "at least so many of the latest events"},
          {.name = "keep_age",
           .value = "TIME",
           .help = "at least the events of this long, such as 72h"}}};
}

CommandSpec AdminExport() {
  return {.words = "admin export",
          .summary = "print all stored events as JSON, one a line",
          .details = "In the JSON that browsers get, from the first event to the last as of now.",
          .flags = {{.name = "after",
                     .value = "N",
                     .help = "all events after this sequence; 0: from the beginning"},
                    {.name = "desk",
                     .value = "ID",
                     .help = "the log that --after belongs to (see `agentdesk desk`)"}}};
}

FlagSpec Expect() {
  return {.name = "expect",
          .value = "SEQUENCE:HASH",
          .help = "what an earlier `audit verify` ended with: it must still be so"};
}

CommandSpec AuditVerify() {
  return {
      .words = "audit verify",
      .arguments = "PATH",
      .min_arguments = 1,
      .max_arguments = 1,
      .summary = "prove the log of a backup, or of a desk that no core runs",
      .details =
          "Every entry must follow by its hash from the one before. Ends with 1 and names the\n"
          "first entry that is wrong. Prints the last sequence and its hash: kept elsewhere, they\n"
          "show later that nobody has rewritten the log with all its hashes.",
      .flags = {Expect()}};
}

CommandSpec AuditExport() {
  return {.words = "audit export",
          .arguments = "PATH",
          .min_arguments = 1,
          .max_arguments = 1,
          .summary = "print who did what, from where, as JSON, one entry a line",
          .details =
              "PATH is a backup, or the directory of a desk that no core runs. Content is left\n"
              "out. An entry is printed once it is proved; at the first that is wrong it ends\n"
              "with 1 and names it.",
          .flags = {{.name = "after", .value = "N", .help = "only entries after this sequence"},
                    Expect()}};
}

}  // namespace

const std::vector<CommandSpec>& Commands() {
  static const auto* const commands = new std::vector<CommandSpec>{
      TicketCreate(),
      TicketList(),
      TicketShow(),
      TicketEnd("ticket cancel", "cancel a ticket",
                "A queued or waiting ticket ends at once; of a running one the agent is told."),
      TicketEnd("ticket retry", "run a failed or cancelled ticket again",
                "It gets a new job in the same session."),
      Watch(),
      Questions(),
      Answer(),
      Message(),
      {.words = "desk", .summary = "show which log the core keeps and how far it reaches"},
      TokenKey(),
      TokenCreate(),
      TokenVerify(),
      AdminBackup(),
      AdminRestore(),
      AdminCheck(),
      AdminCompact(),
      AdminExport(),
      AuditVerify(),
      AuditExport()};
  return *commands;
}

const std::vector<FlagSpec>& ProgramFlags() {
  static const auto* const flags = new std::vector<FlagSpec>{
      {.name = "core", .value = "HOST:PORT", .help = "the core; default 127.0.0.1:50051"},
      {.name = "json", .value = "", .help = "print JSON, one object a line"},
      {.name = "color", .value = "WHEN", .help = "auto (on a terminal), always or never"},
      {.name = "actor", .value = "NAME", .help = "who acts, as a label; default: $USER"},
      {.name = "token_file", .value = "FILE", .help = "the bearer token that the core wants"},
      {.name = "core_ca",
       .value = "FILE",
       .help = "authorities of the core's certificate: speak TLS"},
      {.name = "core_cert",
       .value = "FILE",
       .help = "our own certificate, where the core wants one"},
      {.name = "core_key", .value = "FILE", .help = "the key of --core_cert"},
      {.name = "flagfile", .value = "FILE", .help = "read flags from a file, one a line"},
      {.name = "check_config", .value = "", .help = "check these flags, print them and stop"},
      {.name = "version", .value = "", .help = "print the version"}};
  return *flags;
}

}  // namespace agentdesk::cli
