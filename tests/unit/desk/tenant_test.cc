#include <algorithm>
#include <future>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "core_service/base/error.h"
#include "core_service/desk/agent_input.h"
#include "gtest/gtest.h"
#include "tests/support/desk_fixture.h"

namespace agentdesk::desk {
namespace {

// What one tenant has: what its members may see, and nobody else.
struct Property {
  std::vector<std::string> tickets;
  std::vector<std::string> sessions;
  std::vector<std::string> jobs;
  std::vector<std::string> questions;
  std::vector<int64_t> tokens;  // of the jobs' leases; 0: never claimed
};

Caller Of(const std::string& tenant) {
  Caller caller;
  caller.actor.set_id(absl::StrCat("somebody of ", tenant));
  caller.actor.set_via("grpc");
  caller.identity = absl::StrCat(tenant, "/somebody");
  caller.tenant = tenant;
  caller.authenticated = true;
  return caller;
}

class TenantTest : public testing::DeskFixture {
 protected:
  // A desk on which several tenants have done this and that, in random order.
  void Fill(unsigned seed) {
    random_.seed(seed);
    for (int i = 0; i < 120; ++i) {
      const std::string& tenant = tenants_[random_() % tenants_.size()];
      Property& own = properties_[tenant];
      v1::CreateTicketRequest create;
      create.set_ticket_name(absl::StrCat("of ", tenant));
      const auto created = CallAs<v1::CreateTicketResponse>(Of(tenant), create);
      ASSERT_TRUE(created.ok()) << created.status();
      own.tickets.push_back(created->ticket_id());
      own.sessions.push_back(created->ticket().session_id());
      own.jobs.push_back(created->job_id());
      own.tokens.push_back(0);
      if (random_() % 2 == 0) Work(tenant, own);
      if (random_() % 5 == 0) {
        v1::CancelTicketRequest cancel;
        cancel.set_ticket_id(own.tickets[random_() % own.tickets.size()]);
        (void)CallAs<v1::CancelTicketResponse>(Of(tenant), cancel);
      }
    }
  }

  // Claims the tenant's oldest job and asks something.
  void Work(const std::string& tenant, Property& own) {
    const absl::StatusOr<v1::ClaimJobResponse> claim = ClaimAs(tenant);
    ASSERT_TRUE(claim.ok()) << claim.status();
    if (!claim->has_job()) return;
    const auto job = std::find(own.jobs.begin(), own.jobs.end(), claim->job().job_id());
    ASSERT_NE(job, own.jobs.end()) << tenant << " was given a job of others";
    own.tokens[static_cast<size_t>(job - own.jobs.begin())] = claim->lease_token();
    v1::AskQuestionRequest ask;
    ask.set_job_id(claim->job().job_id());
    ask.set_lease_token(claim->lease_token());
    ask.set_key("k");
    ask.set_content("?");
    const auto asked = CallAs<v1::AskQuestionResponse>(Of(tenant), ask);
    ASSERT_TRUE(asked.ok()) << asked.status();
    own.questions.push_back(asked->question().question_id());
  }

  absl::StatusOr<v1::ClaimJobResponse> ClaimAs(const std::string& tenant) {
    v1::ClaimJobRequest request;
    request.add_queues("default");
    request.set_worker("w");
    std::promise<absl::StatusOr<v1::ClaimJobResponse>> answer;
    const auto waiting = desk_->Claim(
        Of(tenant), request, [&](auto response) { answer.set_value(std::move(response)); });
    return answer.get_future().get();
  }

  // All rows of a list, page after page.
  template <typename Response, typename Request, typename Add>
  std::vector<std::string> All(const std::string& tenant, Request request, Add add) {
    std::vector<std::string> ids;
    request.set_page_size(7);
    do {
      const auto page = AskAs<Response>(Of(tenant), request);
      EXPECT_TRUE(page.ok()) << page.status();
      if (!page.ok()) break;
      add(*page, ids);
      request.set_page_token(page->next_page_token());
    } while (!request.page_token().empty());
    std::sort(ids.begin(), ids.end());
    return ids;
  }

  static std::vector<std::string> Sorted(std::vector<std::string> ids) {
    std::sort(ids.begin(), ids.end());
    return ids;
  }

  // The events after a position, as a subscription hands them out.
  std::vector<v1::Event> Follow(const std::string& tenant, const v1::EventFilter& filter,
                                int64_t after, bool from_store) {
    events::Subscription cursor =
        desk_->Subscribe(Of(tenant), *events::Filter::Create(filter), after);
    std::vector<v1::Event> found;
    while (cursor.position() < desk_->log().head()) {
      auto batch = from_store ? *cursor.ReadStore(*store_) : cursor.Next(nullptr);
      v1::SubscribeResponse decoded;
      for (const events::Piece& piece : batch.pieces) {
        EXPECT_TRUE(decoded.MergeFromString(std::string(piece.bytes)));
      }
      found.insert(found.end(), decoded.events().begin(), decoded.events().end());
    }
    return found;
  }

  // That a call with an id of another tenant answers as with one that nobody has.
  template <typename Call>
  void ExpectSameAsUnknown(const std::string& foreign, const std::string& unknown, Call call) {
    const absl::Status as_foreign = call(foreign);
    const absl::Status as_unknown = call(unknown);
    EXPECT_FALSE(as_unknown.ok());
    EXPECT_EQ(as_foreign.code(), as_unknown.code());
    EXPECT_EQ(absl::StrReplaceAll(as_foreign.message(), {{foreign, unknown}}),
              as_unknown.message());
    EXPECT_EQ(DetailOf(as_foreign).reason, DetailOf(as_unknown).reason);
  }

  const std::vector<std::string> tenants_ = {"", "acme", "zenith"};
  std::map<std::string, Property> properties_;
  std::mt19937 random_;
};

TEST_F(TenantTest, ListsHoldOnesOwnAndAllOfIt) {
  Fill(1);
  for (const auto& [tenant, own] : properties_) {
    EXPECT_EQ((All<v1::ListTicketsResponse>(tenant, v1::ListTicketsRequest(),
                                            [](const auto& page, auto& ids) {
                                              for (const auto& row : page.tickets()) {
                                                ids.push_back(row.ticket_id());
                                              }
                                            })),
              Sorted(own.tickets));
    EXPECT_EQ((All<v1::ListJobsResponse>(tenant, v1::ListJobsRequest(),
                                         [](const auto& page, auto& ids) {
                                           for (const auto& row : page.jobs()) {
                                             ids.push_back(row.job_id());
                                           }
                                         })),
              Sorted(own.jobs));
    EXPECT_EQ((All<v1::ListQuestionsResponse>(tenant, v1::ListQuestionsRequest(),
                                              [](const auto& page, auto& ids) {
                                                for (const auto& row : page.questions()) {
                                                  ids.push_back(row.question_id());
                                                }
                                              })),
              Sorted(own.questions));
    std::vector<std::string> sessions;
    for (const v1::SessionState state : {v1::SESSION_STATE_OPEN, v1::SESSION_STATE_CLOSED}) {
      v1::ListSessionsRequest request;
      request.set_state(state);
      const auto some =
          All<v1::ListSessionsResponse>(tenant, request, [](const auto& page, auto& ids) {
            for (const auto& row : page.sessions()) ids.push_back(row.session_id());
          });
      sessions.insert(sessions.end(), some.begin(), some.end());
    }
    EXPECT_EQ(Sorted(sessions), Sorted(own.sessions));
    // By status, and of one ticket: parts of the same.
    size_t by_status = 0;
    for (int status = v1::JOB_STATUS_QUEUED; status <= v1::JOB_STATUS_CANCELLED; ++status) {
      v1::ListTicketsRequest request;
      request.set_status(static_cast<v1::JobStatus>(status));
      const auto some = All<v1::ListTicketsResponse>(tenant, request,
                                                     [&of = tenant](const auto& page, auto& ids) {
                                                       for (const auto& row : page.tickets()) {
                                                         ids.push_back(row.ticket_id());
                                                         EXPECT_EQ(row.tenant(), of);
                                                       }
                                                     });
      by_status += some.size();
    }
    EXPECT_EQ(by_status, own.tickets.size());
  }
}

TEST_F(TenantTest, StreamsSnapshotsAndPagesOfEventsHoldOnesOwnFromAnyPosition) {
  Fill(2);
  const std::vector<v1::Event> log = Log();
  for (int round = 0; round < 30; ++round) {
    const int64_t after = static_cast<int64_t>(random_() % (log.size() + 1));
    // Everything, or some tickets of anyone.
    v1::EventFilter filter;
    for (size_t names = random_() % 3 * 10; names > 0; --names) {
      filter.add_ticket_ids(log[random_() % log.size()].ticket_id());
    }
    const std::set<std::string> named(filter.ticket_ids().begin(), filter.ticket_ids().end());
    for (const std::string& tenant : tenants_) {
      std::vector<std::string> expected;
      for (const v1::Event& event : log) {
        if (event.sequence() > after && event.tenant() == tenant &&
            (named.empty() || named.count(event.ticket_id()) > 0)) {
          expected.push_back(event.SerializeAsString());
        }
      }
      for (const bool from_store : {false, true}) {
        std::vector<std::string> found;
        for (const v1::Event& event : Follow(tenant, filter, after, from_store)) {
          found.push_back(event.SerializeAsString());
        }
        EXPECT_EQ(found, expected);
      }
      v1::ListEventsRequest request;
      request.set_after_sequence(after);
      request.set_desk_id(desk_->desk_id());
      request.set_page_size(7);
      *request.mutable_filter() = filter;
      std::vector<std::string> listed;
      do {
        const auto page = AskAs<v1::ListEventsResponse>(Of(tenant), request);
        ASSERT_TRUE(page.ok()) << page.status();
        for (const v1::Event& event : page->events()) listed.push_back(event.SerializeAsString());
        request.set_page_token(page->next_page_token());
      } while (!request.page_token().empty());
      EXPECT_EQ(listed, expected);
    }
  }
  for (const auto& [tenant, own] : properties_) {
    for (const bool named : {false, true}) {
      v1::EventFilter filter;
      for (const auto& [name, theirs] : properties_) {
        for (size_t i = 0; named && i < 30 && i < theirs.tickets.size(); ++i) {
          filter.add_ticket_ids(theirs.tickets[i]);
        }
      }
      std::promise<std::shared_ptr<const SnapshotParts>> taken;
      desk_->TakeSnapshot(Of(tenant), filter,
                          [&](auto parts) { taken.set_value(*std::move(parts)); });
      const std::shared_ptr<const SnapshotParts> snapshot = taken.get_future().get();
      int tickets = 0;
      for (const v1::Snapshot& part : snapshot->parts) {
        for (const auto& row : part.tickets()) EXPECT_EQ(row.tenant(), tenant);
        for (const auto& row : part.sessions()) EXPECT_EQ(row.tenant(), tenant);
        for (const auto& row : part.questions()) EXPECT_EQ(row.tenant(), tenant);
        tickets += part.tickets_size();
      }
      EXPECT_GT(tickets, 0);
    }
  }
}

TEST_F(TenantTest, AnIdOfOthersIsAsGoodAsNone) {
  Fill(3);
  const Property& theirs = properties_["acme"];
  ASSERT_FALSE(theirs.questions.empty());
  const std::string unknown = ids_.NewUuid(clock_.Now()).ToString();
  const std::string unknown_job = absl::StrCat("job-", unknown);
  for (const std::string& tenant : {std::string(), std::string("zenith"), std::string("acm")}) {
    const Caller caller = Of(tenant);
    for (int round = 0; round < 10; ++round) {
      const size_t i = random_() % theirs.tickets.size();
      const std::string& question = theirs.questions[random_() % theirs.questions.size()];
      ExpectSameAsUnknown(theirs.tickets[i], unknown, [&](const std::string& id) {
        v1::GetTicketRequest request;
        request.set_ticket_id(id);
        return AskAs<v1::GetTicketResponse>(caller, request).status();
      });
      ExpectSameAsUnknown(theirs.sessions[i], unknown, [&](const std::string& id) {
        v1::GetSessionRequest request;
        request.set_session_id(id);
        return AskAs<v1::GetSessionResponse>(caller, request).status();
      });
      ExpectSameAsUnknown(theirs.jobs[i], unknown_job, [&](const std::string& id) {
        v1::GetJobRequest request;
        request.set_job_id(id);
        return AskAs<v1::GetJobResponse>(caller, request).status();
      });
      ExpectSameAsUnknown(question, unknown, [&](const std::string& id) {
        v1::GetQuestionRequest request;
        request.set_question_id(id);
        return AskAs<v1::GetQuestionResponse>(caller, request).status();
      });
      ExpectSameAsUnknown(theirs.tickets[i], unknown, [&](const std::string& id) {
        v1::CancelTicketRequest request;
        request.set_ticket_id(id);
        return CallAs<v1::CancelTicketResponse>(caller, request).status();
      });
      ExpectSameAsUnknown(theirs.tickets[i], unknown, [&](const std::string& id) {
        v1::RetryTicketRequest request;
        request.set_ticket_id(id);
        return CallAs<v1::RetryTicketResponse>(caller, request).status();
      });
      ExpectSameAsUnknown(theirs.sessions[i], unknown, [&](const std::string& id) {
        v1::SendMessageRequest request;
        request.set_session_id(id);
        request.set_content("c");
        return CallAs<v1::SendMessageResponse>(caller, request).status();
      });
      // Also for who knows the lease.
      const int64_t token = std::max<int64_t>(theirs.tokens[i], 1);
      ExpectSameAsUnknown(theirs.jobs[i], unknown_job, [&](const std::string& id) {
        v1::RenewLeaseRequest request;
        request.set_job_id(id);
        request.set_lease_token(token);
        return CallAs<v1::RenewLeaseResponse>(caller, request).status();
      });
      ExpectSameAsUnknown(theirs.jobs[i], unknown_job, [&](const std::string& id) {
        v1::CompleteJobRequest request;
        request.set_job_id(id);
        request.set_lease_token(token);
        return CallAs<v1::CompleteJobResponse>(caller, request).status();
      });
      ExpectSameAsUnknown(theirs.jobs[i], unknown_job, [&](const std::string& id) {
        v1::ReceiveInputRequest request;
        request.set_job_id(id);
        request.set_lease_token(token);
        return AgentInput::Open(*desk_, caller, request, *store_).status();
      });
      // A response is judged, and the outcome is the same.
      v1::SubmitResponseRequest response;
      response.set_session_id(theirs.sessions[i]);
      response.set_question_id(question);
      response.set_response("yes");
      const auto judged = CallAs<v1::SubmitResponseResponse>(caller, response);
      ASSERT_TRUE(judged.ok()) << judged.status();
      EXPECT_EQ(judged->outcome(), v1::RESPONSE_OUTCOME_UNKNOWN_SESSION);
      // Lists that are narrowed to others' things are empty.
      v1::ListJobsRequest jobs;
      jobs.set_ticket_id(theirs.tickets[i]);
      EXPECT_EQ(AskAs<v1::ListJobsResponse>(caller, jobs)->jobs_size(), 0);
      v1::ListQuestionsRequest questions;
      questions.set_session_id(theirs.sessions[i]);
      EXPECT_EQ(AskAs<v1::ListQuestionsResponse>(caller, questions)->questions_size(), 0);
      v1::ListEventsRequest events;
      events.mutable_filter()->add_session_ids(theirs.sessions[i]);
      EXPECT_EQ(AskAs<v1::ListEventsResponse>(caller, events)->events_size(), 0);
    }
  }
}

TEST_F(TenantTest, AnIdOfATicketIsItsTenantsOwn) {
  const std::string id = ids_.NewUuid(clock_.Now()).ToString();
  std::map<std::string, v1::Ticket> made;
  for (const std::string tenant : {"acme", "", "zenith"}) {
    v1::CreateTicketRequest create;
    create.set_ticket_name(absl::StrCat("of ", tenant));
    create.set_ticket_id(id);
    const auto created = CallAs<v1::CreateTicketResponse>(Of(tenant), create);
    ASSERT_TRUE(created.ok()) << created.status();
    made[tenant] = created->ticket();
    const auto again = CallAs<v1::CreateTicketResponse>(Of(tenant), create);
    EXPECT_TRUE(absl::IsAlreadyExists(again.status())) << again.status();
    EXPECT_NE(again.status().message().find(create.ticket_name()), std::string::npos)
        << again.status();
  }
  v1::CancelTicketRequest cancel;
  cancel.set_ticket_id(id);
  const auto cancelled = CallAs<v1::CancelTicketResponse>(Of("acme"), cancel);
  ASSERT_TRUE(cancelled.ok()) << cancelled.status();
  EXPECT_EQ(cancelled->ticket().session_id(), made["acme"].session_id());
  ASSERT_EQ(ClaimAs("zenith")->job().job_id(), made["zenith"].job_id());
  for (const auto& [tenant, own] : made) {
    v1::GetTicketRequest get;
    get.set_ticket_id(id);
    const auto shown = AskAs<v1::GetTicketResponse>(Of(tenant), get);
    ASSERT_TRUE(shown.ok()) << shown.status();
    EXPECT_EQ(shown->ticket().session_id(), own.session_id());
    EXPECT_EQ(shown->ticket().status(), tenant == "acme"     ? v1::JOB_STATUS_CANCELLED
                                        : tenant == "zenith" ? v1::JOB_STATUS_RUNNING
                                                             : v1::JOB_STATUS_QUEUED);
    v1::ListJobsRequest jobs;
    jobs.set_ticket_id(id);
    const auto listed = AskAs<v1::ListJobsResponse>(Of(tenant), jobs);
    ASSERT_EQ(listed->jobs_size(), 1);
    EXPECT_EQ(listed->jobs(0).job_id(), own.job_id());
    v1::ListEventsRequest events;
    events.mutable_filter()->add_ticket_ids(id);
    const auto log = AskAs<v1::ListEventsResponse>(Of(tenant), events);
    ASSERT_GT(log->events_size(), 0);
    for (const v1::Event& event : log->events()) EXPECT_EQ(event.session_id(), own.session_id());
  }
}

TEST_F(TenantTest, WhoSeesAllTenantsIsNotGivenOneOfSeveralTickets) {
  const std::string id = ids_.NewUuid(clock_.Now()).ToString();
  v1::CreateTicketRequest create;
  create.set_ticket_name("n");
  create.set_ticket_id(id);
  for (const std::string tenant : {"acme", "zenith"}) {
    ASSERT_TRUE(CallAs<v1::CreateTicketResponse>(Of(tenant), create).ok());
  }
  Caller everyone = Of("");
  everyone.all_tenants = true;
  v1::GetTicketRequest get;
  get.set_ticket_id(id);
  v1::ListJobsRequest jobs;
  jobs.set_ticket_id(id);
  v1::CancelTicketRequest cancel;
  cancel.set_ticket_id(id);
  v1::EventFilter filter;
  filter.add_ticket_ids(id);
  std::promise<absl::Status> snapshot;
  desk_->TakeSnapshot(everyone, filter, [&](auto parts) { snapshot.set_value(parts.status()); });
  for (const auto& [call, status] : std::map<std::string, absl::Status>{
           {"snapshot", snapshot.get_future().get()},
           {"get", AskAs<v1::GetTicketResponse>(everyone, get).status()},
           {"list jobs", AskAs<v1::ListJobsResponse>(everyone, jobs).status()},
           {"cancel", CallAs<v1::CancelTicketResponse>(everyone, cancel).status()}}) {
    EXPECT_TRUE(absl::IsFailedPrecondition(status)) << call << ": " << status;
    EXPECT_EQ(DetailOf(status).reason, "ambiguous_ticket") << call;
  }
  // Events are no guess: those of both pass.
  v1::ListEventsRequest events;
  *events.mutable_filter() = filter;
  std::set<std::string> seen;
  const auto log = AskAs<v1::ListEventsResponse>(everyone, events);
  for (const v1::Event& event : log->events()) seen.insert(event.tenant());
  EXPECT_EQ(seen, (std::set<std::string>{"acme", "zenith"}));
  // The desk goes on, and its own tenant's id is as free as to anyone else there.
  EXPECT_TRUE(CallAs<v1::CreateTicketResponse>(everyone, create).ok());
  EXPECT_EQ(CallAs<v1::CancelTicketResponse>(Of("acme"), cancel)->ticket().status(),
            v1::JOB_STATUS_CANCELLED);
}

TEST_F(TenantTest, AClaimThatWaitsGetsAJobOfItsOwnTenant) {
  v1::ClaimJobRequest request;
  request.add_queues("default");
  request.set_worker("w");
  request.mutable_wait()->set_seconds(60);
  std::promise<absl::StatusOr<v1::ClaimJobResponse>> first;
  std::promise<absl::StatusOr<v1::ClaimJobResponse>> second;
  const auto waits_first =
      desk_->Claim(Of("acme"), request, [&](auto response) { first.set_value(response); });
  const auto waits_second =
      desk_->Claim(Of("zenith"), request, [&](auto response) { second.set_value(response); });
  v1::CreateTicketRequest create;
  create.set_ticket_name("Work");
  const auto created = CallAs<v1::CreateTicketResponse>(Of("zenith"), create);
  ASSERT_TRUE(created.ok());
  EXPECT_EQ(second.get_future().get()->job().job_id(), created->job_id());
  ASSERT_TRUE(CallAs<v1::CreateTicketResponse>(Of("acme"), create).ok());
  EXPECT_EQ(first.get_future().get()->job().tenant(), "acme");
}

TEST_F(TenantTest, ACheckpointIsOfEveryTenant) {
  Fill(5);
  ASSERT_TRUE(CallAs<v1::CompactResponse>(Of(""),
                                          [] {
                                            v1::CompactRequest request;
                                            request.set_keep_events(10);
                                            return request;
                                          }())
                  .ok());
  const auto view = *store_->OpenView();
  for (const auto& [tenant, own] : properties_) {
    for (const std::string& id : own.sessions) {
      const auto ticket = view->FindTicketOfSession(id);
      ASSERT_TRUE(ticket.ok());
      const bool ended = ticket->ticket().status() == v1::JOB_STATUS_CANCELLED;
      EXPECT_EQ(view->FindCheckpoint(id).ok(), !ended) << tenant;
    }
  }
}

TEST_F(TenantTest, WithoutAuthenticationAndForAGatewayThereAreNoBounds) {
  Fill(4);
  size_t all = 0;
  for (const auto& [tenant, own] : properties_) all += own.tickets.size();
  v1::ListTicketsRequest request;
  request.set_page_size(1000);
  Caller gateway = Of("acme");
  gateway.all_tenants = true;
  for (const Caller& caller : {Caller{}, gateway}) {
    EXPECT_EQ(static_cast<size_t>(AskAs<v1::ListTicketsResponse>(caller, request)->tickets_size()),
              all);
  }
}

}  // namespace
}  // namespace agentdesk::desk
