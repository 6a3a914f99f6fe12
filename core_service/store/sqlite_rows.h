#ifndef AGENTDESK_CORE_SERVICE_STORE_SQLITE_ROWS_H_
#define AGENTDESK_CORE_SERVICE_STORE_SQLITE_ROWS_H_

// The columns that a statement must select for SqliteReads to read a row of it, as the beginning of
// a list of columns, and where its record is among them.
#define AGENTDESK_TICKET_COLUMNS "ticket_key, session_id, record"
#define AGENTDESK_JOB_COLUMNS "job_key, job_id, ticket_key, record"
#define AGENTDESK_QUESTION_COLUMNS "question_key, question_id, record"

namespace agentdesk::store {

constexpr int kTicketRecord = 2;
constexpr int kJobRecord = 3;
constexpr int kQuestionRecord = 2;

}  // namespace agentdesk::store

#endif  // AGENTDESK_CORE_SERVICE_STORE_SQLITE_ROWS_H_
